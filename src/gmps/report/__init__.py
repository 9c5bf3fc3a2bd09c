"""The report: one self-contained HTML page as a function of run folders."""

from gmps.report.page import write_report

__all__ = ["write_report"]
