"""`python -m gradio_app`: how tests/browser and the page's image start the page."""

from gradio_app.app import main

if __name__ == "__main__":
    main()
