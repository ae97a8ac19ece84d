"""Every exception that this package raises, one class for each party that can fix the cause.

    ServiceError
    ├── SettingsError     the operator: an environment variable
    ├── ArtifactError     the deployer: the model file or its labels
    ├── RequestError      the caller
    │   ├── BodyError         the body isn't the JSON that the route takes
    │   ├── FeaturesError     the rows aren't a matrix that the model takes
    │   ├── TooLargeError     more bytes or rows than the limit
    │   └── UnknownModelError another model than the loaded one
    ├── ObjectError       the owner of an S3 object, or of the rights to read and write it
    └── ThrottledError    nobody: a later try will work

They carry facts; only `function.api.responses` turns them into HTTP.
"""


class ServiceError(Exception):
    """The root: the message is one line that says what was expected, what came, and where."""


class SettingsError(ServiceError):
    """An environment variable has a value that the service can't run with."""


class ArtifactError(ServiceError):
    """The model file, or the labels beside it, can't be served."""


class RequestError(ServiceError):
    """The caller's input is wrong.

    `type` is a stable word for programs, `where` the path to the fault: keys and 0-based indexes.
    """

    def __init__(self, message: str, *, type: str, where: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.where = where


class BodyError(RequestError):
    """The body isn't JSON, or not of the documented shape; `where` starts at the body."""


class FeaturesError(RequestError):
    """The rows can't be run; `where` is (), (row,) or (row, column) of the matrix."""


class TooLargeError(RequestError):
    """More than one request may contain; `where` starts at the body."""


class UnknownModelError(RequestError):
    """The path names another model, or another version, than the loaded one."""


class ObjectError(ServiceError):
    """An S3 object as a whole can't be scored."""


class ThrottledError(ServiceError):
    """S3 throttles requests, or can't be reached."""
