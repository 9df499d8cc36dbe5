"""The documentation site: built by scripts/docs, which counts every warning as an error."""

import importlib.util
import pathlib

import tapegrad

project = "tapegrad"
author = "the tapegrad developers"
copyright = "the tapegrad developers, MIT licence"
version = release = tapegrad.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "numpydoc",
]
templates_path = ["_templates"]

# Pages are Markdown, so that they read well in a repository browser, too.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The reference comes from the docstrings, one page an object.
autosummary_generate = True
autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # numpydoc's sections have the types
numpydoc_show_class_members = False
default_role = "literal"

html_theme = "furo"
html_title = "tapegrad"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#6cc4f5", "color-brand-content": "#6cc4f5"},
}

# What a reader copies is what runs: no prompts.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def write_messages(app):
    """The table of all messages, from the sources."""
    path = pathlib.Path(__file__).parents[1] / "scripts" / "messages.py"
    spec = importlib.util.spec_from_file_location("messages", path)
    messages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(messages)
    text = messages.page()
    if not messages.PAGE.exists() or messages.PAGE.read_text(encoding="utf-8") != text:
        messages.PAGE.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_messages)
