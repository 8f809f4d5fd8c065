"""Reports for people and for CI, made from documents of `hexconv.schema`."""

from hexconv.report.diff import Change, Diff, compare_reports, read_report
from hexconv.report.html_page import html
from hexconv.report.junit import junit_xml
from hexconv.report.summary import markdown

__all__ = ["Change", "Diff", "compare_reports", "html", "junit_xml", "markdown", "read_report"]
