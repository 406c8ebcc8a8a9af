"""Sphinx configuration: sphinx-build -W docs docs/_build"""

import warnings

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

project = "pyramid_restproxy"
copyright = "2026, the pyramid_restproxy maintainers"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pyramid_restproxy"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
nitpicky = False
