"""Phantom runs over months: series, baselines, control charts, alarms with their likely cause."""
