"""Adapters kept, described, mixed, merged and handed on: everything but training them and writing with them."""
