"""Tests of what autodiff/scipy has of SciPy's modules, beside the table of cases."""
