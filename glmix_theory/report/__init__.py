"""Tables, plots and pages made from reports."""

from glmix_theory.report.catalogue_table import catalogue_rows, catalogue_table, stack_quantity
from glmix_theory.report.frontier import FrontierRow, frontier, frontier_table, plot_frontier
from glmix_theory.report.page import page, write_page
from glmix_theory.report.plots import plot_mixer, uniform_matrix
from glmix_theory.report.search_plot import plot_search
from glmix_theory.report.table1 import table1, table1_reports

__all__ = [
    "FrontierRow",
    "catalogue_rows",
    "catalogue_table",
    "frontier",
    "frontier_table",
    "page",
    "plot_frontier",
    "plot_mixer",
    "plot_search",
    "stack_quantity",
    "table1",
    "table1_reports",
    "uniform_matrix",
    "write_page",
]
