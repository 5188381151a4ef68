"""System 1: X-UMX told where its sources are (SpaIn-Net)."""
