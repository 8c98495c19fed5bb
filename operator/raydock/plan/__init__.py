"""CR + facts + verdict → manifests: arithmetic without clock, network or chance."""
