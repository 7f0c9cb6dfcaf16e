"""Files of the live machine and of a copied tree: odd files, odd paths, and no way out of the tree."""

import os
import sys

import pytest

from gpucheck.host.files import MAX_FILE_BYTES, Files, disk_usage, plain_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, FIFOs and permissions of POSIX")


def test_text_and_undecodable_bytes(tmp_path):
    """Bytes that are no UTF-8 become U+FFFD."""
    (tmp_path / "name").write_bytes(b"caf\xe9\n")
    assert Files().read(str(tmp_path / "name")).value == "caf\ufffd\n"


def test_missing_file_is_not_found(tmp_path):
    """A missing file, one below a file, and a path with a null byte are not there."""
    (tmp_path / "file").write_text("x")
    files = Files()
    for path in ("missing", "file/below", "nu\0ll"):
        assert files.read(f"{tmp_path}/{path}").error == "not_found"
        assert files.listdir(f"{tmp_path}/{path}").error == "not_found"
        assert files.readlink(f"{tmp_path}/{path}").error == "not_found"
        assert files.may("rw", f"{tmp_path}/{path}").error == "not_found"


def test_largest_file(tmp_path):
    """Exactly the limit is read; one byte more is too large."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * MAX_FILE_BYTES)
    assert len(Files().read(str(path)).value) == MAX_FILE_BYTES
    path.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    assert Files().read(str(path)).error == "too_large"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_endless_device():
    """A device without an end is too large, not endless."""
    assert Files().read("/dev/zero").error == "too_large"


def test_fifo_does_not_block(tmp_path):
    """A FIFO that nobody writes to reads as empty; one with a silent writer is an error. Neither blocks."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    assert Files().read(path).value == ""
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        assert Files().read(path).error == "io_error"
    finally:
        os.close(writer)


def test_directory_is_no_file(tmp_path):
    """Reading a directory is an I/O error, with the reason in words."""
    answer = Files().read(str(tmp_path))
    assert answer.error == "io_error"
    assert "directory" in answer.detail


def test_permission(tmp_path):
    """What may not be opened is told as such."""
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    assert Files().read(str(path)).error == "no_permission"
    assert Files().may("r", str(path)).value is False


def test_may(tmp_path):
    """What may be read and written."""
    (tmp_path / "file").write_text("x")
    assert Files().may("rw", str(tmp_path / "file")).value is True


def test_names_are_sorted_and_texts(tmp_path):
    """A name that is no UTF-8 still fits into a recording."""
    for name in (b"b", b"a", b"caf\xe9"):
        (tmp_path / os.fsdecode(name)).write_text("")
    names = Files().listdir(str(tmp_path)).value
    assert names == ["a", "b", "caf\ufffd"]
    assert "".join(names).encode()


@pytest.mark.parametrize("text", ["plain", "größe", os.fsdecode(b"caf\xe9")])
def test_plain_text_can_be_encoded(text):
    """Every text of the system can stand in JSON."""
    assert plain_text(text).encode().decode() == plain_text(text)


def test_link_as_written(tmp_path):
    """A link's target is not resolved, and may be broken."""
    (tmp_path / "link").symlink_to("../../bus/pci/drivers/nvidia")
    assert Files().readlink(f"{tmp_path}/link").value == "../../bus/pci/drivers/nvidia"
    assert Files(str(tmp_path)).readlink("/link/").value == "../../bus/pci/drivers/nvidia"


def test_reading_a_link_that_is_none(tmp_path):
    """A file is no link."""
    (tmp_path / "file").write_text("x")
    assert Files().readlink(f"{tmp_path}/file").error == "io_error"


class TestCopiedTree:
    """Another root stands for the whole machine, and nothing outside of it can be read."""

    def test_paths_start_at_the_root(self, tmp_path):
        """/proc is the tree's."""
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1 kB\n")
        files = Files(str(tmp_path))
        assert files.read("/proc/meminfo").value == "MemTotal: 1 kB\n"
        assert files.listdir("/").value == ["proc"]

    @pytest.mark.parametrize("path", ["/../../etc/passwd", "/..", "../etc/passwd", "/proc/../../etc/passwd"])
    def test_dots_lead_nowhere(self, tmp_path, path):
        """Upward paths are not found."""
        root = tmp_path / "root"
        root.mkdir()
        assert Files(str(root)).read(path).error == "not_found"
        assert Files(str(root)).listdir(path).error == "not_found"

    def test_links_out_of_the_tree(self, tmp_path):
        """A link in a copied tree may not lend the real machine's files, nor may a folder that is one."""
        root, outside = tmp_path / "root", tmp_path / "outside"
        root.mkdir()
        outside.mkdir()
        (outside / "secret").write_text("x")
        (root / "file").symlink_to(outside / "secret")
        (root / "folder").symlink_to(outside)
        files = Files(str(root))
        assert files.read("/file").error == "not_found"
        assert files.read("/folder/secret").error == "not_found"
        assert files.listdir("/folder").error == "not_found"
        assert files.readlink("/folder/secret").error == "not_found"

    def test_neighbour_with_the_same_beginning(self, tmp_path):
        """A folder whose name only begins like the root's is outside."""
        (tmp_path / "root").mkdir()
        (tmp_path / "root2").mkdir()
        (tmp_path / "root2" / "file").write_text("x")
        assert Files(str(tmp_path / "root")).read("/../root2/file").error == "not_found"

    def test_links_inside_work(self, tmp_path):
        """Sysfs is made of links."""
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "file").write_text("x")
        (tmp_path / "link").symlink_to("real")
        assert Files(str(tmp_path)).read("/link/file").value == "x"

    def test_circle_of_links(self, tmp_path):
        """Links that point at each other end in an error."""
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        assert Files(str(tmp_path)).read("/a/file").error in {"io_error", "not_found"}


class TestDiskUsage:
    """Space of places, also of those that are not there yet."""

    def test_nearest_existing_parent(self, tmp_path):
        """A folder to be made has its parent's space."""
        space = disk_usage(f"{tmp_path}/not/yet").value
        assert space["total_bytes"] >= space["free_bytes"] > 0

    def test_home_and_here(self):
        """Both short forms of a place are understood."""
        assert disk_usage("~").value["total_bytes"] > 0
        assert disk_usage(".").value["total_bytes"] > 0

    @pytest.mark.skipif(sys.platform != "linux", reason="macOS cannot remove the current directory")
    def test_deleted_current_directory(self, tmp_path, monkeypatch):
        """A process whose directory has been deleted gets an answer, not an exception."""
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        assert disk_usage(".").error == "not_found"

    def test_null_byte(self):
        """A place that cannot be a path falls back to its parent, or is not found; it does not raise."""
        assert disk_usage("/nu\0ll").error in {None, "not_found"}
