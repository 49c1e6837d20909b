"""Writing a recording: everything of another one copied byte by byte, image topics added, all of it or nothing."""

from __future__ import annotations

import array
import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sartm_core.support.files import remove_leftovers
from sartm_ros.bags.reading import IMAGE, Bag, Message
from sartm_ros.bags.storage import CDR, BagError, Connection, needs, one_line
from sartm_ros.frames.filling import fill

STRING = "std_msgs/msg/String"
BAG_VERSION = 8
"""Of metadata.yaml: QoS as distros before Jazzy write it, which later ones read too; 9 is for Jazzy and on."""
UNKNOWN_HASH = "RIHS01_" + "0" * 64
"""Stands for the hash of a type whose definition cannot be read."""
IDL_RULER = "=" * 80 + "\n"
"""Parts the files of an IDL definition."""
log = logging.getLogger(__name__)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A path for a folder to be made, moved to `path` when the block ends well, removed with all in it when not.

    Its name is already that of `path`: rosbag2 names the files inside after their folder. BagError when `path` exists.
    """
    if path.exists():
        raise BagError(f"--output {path}: exists already; nothing is overwritten, give another name or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        yield temporary / path.name
        os.rename(temporary / path.name, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Copy:
    """A new recording that receives another one's messages and further image topics. Use it as a context manager."""

    def __init__(self, folder: Path, source: Bag, storage: str) -> None:
        """`folder` is made. `storage`: one of `reading.STORAGES`."""
        rosbag2, typesys = needs()
        self._types = typesys.get_typestore(typesys.Stores.LATEST)
        self._writer = rosbag2.Writer(
            folder, version=BAG_VERSION, storage_plugin=rosbag2.StoragePlugin[storage.upper()]
        )
        self._source = source
        self._copied: dict[Any, Any] = {}
        self._added: dict[str, Any] = {}

    def __enter__(self) -> Copy:
        self._writer.open()
        for connection in self._source.connections:
            self._copied[connection.topic, connection.msgtype] = self._writer.add_connection(
                connection.topic,
                connection.msgtype,
                **self._definition(connection),
                serialization_format=CDR,
                offered_qos_profiles=profiles(connection.qos),
            )
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)

    def add_topic(self, topic: str, kind: str = IMAGE, latched: bool = False) -> None:
        """A topic of our own, with the QoS the node offers. BagError when the source has a topic of that name."""
        if any(connection.topic == topic for connection in self._source.connections):
            raise BagError(
                f"{self._source.path}: has a topic {topic} already; give --namespace another name than its first part"
            )
        self._added[topic] = self._writer.add_connection(
            topic, kind, typestore=self._types, offered_qos_profiles=[offered(latched)]
        )

    def copy(self, message: Message) -> None:
        """A message of the source as it is."""
        name = message.connection.topic, message.connection.msgtype
        self._writer.write(self._copied[name], message.logged_ns, message.data)

    def image(self, topic: str, logged_ns: int, pixels: np.ndarray, header: Any) -> None:
        """(H, W) uint8 as mono8 or (H, W, 3) as rgb8, filled in as the node does; the header as it is."""
        filled = fill(SimpleNamespace(data=array.array("B")), pixels, header)
        filled.data = np.frombuffer(filled.data, np.uint8)
        self._writer.write(self._added[topic], logged_ns, self._types.serialize_cdr(filled, IMAGE))

    def text(self, topic: str, logged_ns: int, text: str) -> None:
        """A std_msgs/String."""
        message = self._types.serialize_cdr(SimpleNamespace(data=text), STRING)
        self._writer.write(self._added[topic], logged_ns, message)

    def _definition(self, connection: Connection) -> dict[str, Any]:
        """What the source says about a type, else (recordings before Iron say nothing) the library's own definition."""
        text, kind = connection.definition, connection.msgtype
        if text:
            return {"msgdef": text, "rihs01": connection.digest or type_hash(text, kind)}
        if kind in self._types.fielddefs:
            return {"typestore": self._types}
        return {"msgdef": "", "rihs01": type_hash("", kind)}  # nobody knows it; its bytes are copied all the same


def type_hash(text: str, kind: str) -> str:
    """What ROS calls the type description hash, of a definition that came without it."""
    _, typesys = needs()
    idl = text.startswith("=")  # its first line is a ruler, and that of a .msg is not
    try:
        parts = [part.split("\n", 1)[1] for part in text.split(IDL_RULER) if part] if idl else []
        types = [typesys.get_types_from_idl(part) for part in parts] or [typesys.get_types_from_msg(text, kind)]
        store = typesys.get_typestore(typesys.Stores.EMPTY)
        store.register({name: fields for each in types for name, fields in each.items()})
        return str(store.hash_rihs01(kind))
    except Exception as error:  # what the library's parser does not know; readers that check will refuse the type
        log.warning("%s: no hash of its definition (%s)", kind, one_line(error))
        return UNKNOWN_HASH


def offered(latched: bool) -> Any:
    """Reliable, keep last 1; latched: also for those who subscribe later. `rosbags.interfaces.Qos`."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(9223372036, 854775807)  # as rosbag2 writes what is not limited
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, durability, forever, forever,
        QosLiveliness.AUTOMATIC, forever, False,
    )  # fmt: skip


def profiles(text: str) -> Any:
    """QoS profiles as rosbag2 writes them, for the writer; none where they make no sense."""
    from rosbags.rosbag2.metadata import parse_qos

    try:
        return parse_qos(text)
    except Exception as error:  # of many types, for text that nobody promised to be sound
        log.warning("QoS profiles that cannot be read are left out (%s)", one_line(error))
        return []


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """A full disk and the like as a BagError that names what was to be written."""
    try:
        yield
    except BagError:
        raise
    except OSError as error:
        raise BagError(f"--output {path}: cannot be written ({one_line(error)})") from error
