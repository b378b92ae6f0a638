"""Languages of the page, chosen by the browser.

English texts are the keys of the catalogues.

choice      which language a visitor gets      visit       a visitor's language in requests and events
texts       translation of a text              marks       texts of the page while it is built
core_texts  messages of the core               *.json      one catalogue per language
"""

from lipsync.ui.languages.texts import strings, translated, translated_html

__all__ = ["strings", "translated", "translated_html"]
