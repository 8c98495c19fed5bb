"""CR + facts + verdict + step → conditions and status: what may be claimed."""
