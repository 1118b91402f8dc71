"""`auth/…` and everything that does not exist."""

from django.http import HttpRequest, HttpResponse

from qbshim import auth
from qbshim.endpoint import COMMAND, READ, Params, endpoint
from qbshim.errors import TEXT, UnknownPath


@endpoint(COMMAND, public=True)
def login(request: HttpRequest, params: Params) -> HttpResponse | str:
    """`Ok.` and a session cookie, or `Fails.`; who has a session already is in, whatever was sent."""
    if params.is_signed_in:
        return "Ok."
    cookie = auth.sign_in(request, params.text("username"), params.text("password"))
    if cookie is None:
        return "Fails."
    response = HttpResponse("Ok.", content_type=TEXT)
    response.set_cookie(
        auth.COOKIE,
        cookie,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.is_secure(),
    )
    return response


@endpoint(COMMAND)
def logout(request: HttpRequest, params: Params) -> HttpResponse:
    """Ends the session and takes the cookie back."""
    auth.sign_out(params.client)
    response = HttpResponse(content_type=TEXT)
    response.delete_cookie(auth.COOKIE, path="/", samesite="Strict")
    return response


@endpoint(READ | {"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
def unknown(request: HttpRequest, params: Params) -> str:
    """404 for who is signed in; to everybody else no path looks different from another."""
    raise UnknownPath(request.path)
