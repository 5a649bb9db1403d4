"""Tests of the dashboards: every query asked for real."""
