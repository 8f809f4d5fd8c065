"""An extension of Google's Model Explorer: `model-explorer --extensions=hexconv.explorer`.

Model Explorer imports `main`, and only there is it imported itself.
"""
