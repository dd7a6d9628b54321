class LabelError(ValueError):
    """The statement cannot be saved; the message is for people."""


class QuestionError(ValueError):
    """The questions do not make a question set; the message is for people."""
