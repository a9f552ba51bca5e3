"""`python -m gradio_app`."""

from gradio_app.app import main

if __name__ == "__main__":
    main()
