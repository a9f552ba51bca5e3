"""The Grafana dashboards of charts/bellwether as code."""
