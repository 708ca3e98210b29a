"""The local transport between real processes, killed, frozen and starved for real."""
