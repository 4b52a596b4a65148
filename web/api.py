"""gunicorn's ``app``; `gunicorn.conf.py` has checked the settings and set up logging before this is imported."""

from web.app import create_app
from web.settings import Settings

app = create_app(Settings.from_env())
