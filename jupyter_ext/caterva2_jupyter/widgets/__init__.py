"""Widgets of notebooks: what a view shows, how it is drawn, and the ipywidgets around it."""
