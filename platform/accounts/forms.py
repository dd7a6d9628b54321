from django.contrib.auth.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": (
            "This name and password do not belong together. Capitals matter in both; "
            "an admin of your project can set a new password."
        ),
        "inactive": "This account has been closed. Ask an admin of your project.",
    }
