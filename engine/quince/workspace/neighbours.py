"""Who else uses a broker: the workers of all stores on it, each with the store that it works for.

Tasks, controls and broadcasts of different stores never meet, since their names on the broker begin with the
store's identity. Two things do not know it: a program that has the broker's URI alone, and two copies of one
store. For them workers answer a roll call under the names that all have in common.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

import quince_messaging
from quince.workspace.workspace import Workspace
from quince_messaging.contract import AsyncCommunicator, BroadcastMessage, LinkState, SubjectFilter
from quince_messaging.errors import MessagingError, UnroutableError
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.worker")

SUBJECT = "quince.who"
ROLL_CALL_SECONDS = 0.5
ASK_SECONDS = 2.0


class Card(msgspec.Struct, frozen=True):
    """What a worker says of itself.

    Attributes:
        store: Identity of its store.
        worker: Its id.
        folder: Of its workspace, on its host; as text, whatever it is called (`quoted`).
    """

    store: str
    worker: str
    folder: str
    host: str

    def __str__(self) -> str:
        return f"{self.store} ({self.folder} on {self.host})"


def card_of(body: Any) -> Card | None:
    """The card in a message, if it has one."""
    try:
        return msgspec.convert(body, Card)
    except (msgspec.ValidationError, TypeError):
        return None


class Neighbours:
    """What one worker knows of those of other stores on its broker."""

    def __init__(self, outside: AsyncCommunicator, own: Card, side: SideTasks) -> None:
        self._outside = outside
        self.own = own
        self._side = side
        self._known: dict[str, Card] = {}

    async def open(self, *, announce: bool) -> None:
        """Begin to answer.

        Args:
            announce: Ask who else is there, now and after each loss of the link.
        """
        await self._outside.add_rpc_subscriber(self._called, _address(self.own))
        await self._outside.subscribe(self._asked, SubjectFilter(subjects=(SUBJECT,)))
        if announce:
            self._outside.on_link(self._on_link)
            await self._announce()

    async def others(self) -> list[Card]:
        """One worker of each other store that is there now."""
        for card in list(self._known.values()):
            try:
                await self._outside.rpc_send(
                    _address(card), msgspec.to_builtins(self.own), timeout=ASK_SECONDS
                )
            except UnroutableError:
                self._known.pop(card.worker, None)
            except (MessagingError, TimeoutError):
                pass  # it may be frozen: it is there
        return list({card.store: card for card in self._known.values()}.values())

    async def _announce(self) -> None:
        card = msgspec.to_builtins(self.own)
        body = {"to": _address(self.own), "card": card}
        await self._outside.broadcast_many([BroadcastMessage(body, None, SUBJECT, None)])

    def _on_link(self, state: LinkState) -> None:
        if state is LinkState.CONNECTED:
            self._side.spawn("a roll call", self._announce())

    def _asked(self, message: BroadcastMessage) -> None:
        body = message.body
        if isinstance(body, dict) and isinstance(body.get("to"), str) and body["to"] != _address(self.own):
            self._learn(card_of(body.get("card")))
            self._side.spawn("an answer to a roll call", self._answer(body["to"]))

    async def _answer(self, to: str) -> None:
        try:
            await self._outside.rpc_cast(to, msgspec.to_builtins(self.own))
        except (MessagingError, ValueError) as error:
            _log.debug(
                "the roll call of %(communicator)s cannot be answered: %(error)s",
                communicator=to,
                error=error,
            )

    async def _called(self, _communicator: object, body: Any) -> Any:
        self._learn(card_of(body))
        return msgspec.to_builtins(self.own)

    def _learn(self, card: Card | None) -> None:
        if card is not None and card.store != self.own.store:
            self._known[card.worker] = card


def roll_call(uri: str) -> Sequence[Card]:
    """All workers that answer on a broker just now.

    Raises:
        MessagingError: nobody answers there.
    """
    cards: list[Card] = []
    with quince_messaging.connect(uri) as outside:
        address = f"asks:{uuid.uuid4().hex}"

        def heard(_communicator: object, body: Any) -> None:
            if (card := card_of(body)) is not None:
                cards.append(card)

        outside.add_rpc_subscriber(heard, address)
        outside.broadcast_send({"to": address}, subject=SUBJECT)
        threading.Event().wait(ROLL_CALL_SECONDS)  # nobody knows how many will answer
    return cards


def strangers(workspace: Workspace) -> tuple[list[Card], list[Card]]:
    """Who else is on the broker of a workspace.

    Returns:
        One worker of each other store; and the workers of copies of this store, of which it knows nothing.

    Raises:
        MessagingError: the broker does not answer.
    """
    store, location = workspace.store, workspace.location
    if location.names(store.identity) is None and not location.has_guests:
        return [], []
    cards = roll_call(location.broker)
    known = {worker.id for worker in store.workers()}
    others = {card.store: card for card in cards if card.store != store.identity}
    copies = [card for card in cards if card.store == store.identity and card.worker not in known]
    return list(others.values()), copies


def sentence_of(others: Sequence[Card]) -> str:
    """That others are there, and that it does no harm."""
    return (
        f"{len(others)} other workspace{'s use' if len(others) > 1 else ' uses'} this broker, too: "
        f"{'; '.join(sorted(map(str, others)))}. Neither sees the other's tasks and controls"
    )


def _address(card: Card) -> str:
    return f"desk:{card.worker}"
