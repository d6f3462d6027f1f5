"""What runs in the visitor's browser: keys are made, read from files and saved there.

Each constant is a JavaScript function for an event's `js`; its arguments are the event's inputs.
"""

from __future__ import annotations

from demo.words import EXAMPLE
from kfaar_core import keys

_NEW = f"""{keys.before_digits(keys.IN_FORCE)!r} + Array.from(
  crypto.getRandomValues(new Uint8Array(Number(bits) / 8)), (b) => b.toString(16).padStart(2, "0")).join("")"""

MAKE_KEY = f"(bits) => {_NEW}"  # -> a new key's text

# (count, bits) -> that many keys, one a line
MAKE_KEYS = f"""(count, bits) => Array.from({{length: Number(count)}}, () => {_NEW}).join("\\n")"""

# (key) -> the text of a file that the visitor chooses, or the same key when they choose none
LOAD_KEY = """(key) => new Promise((answer) => {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".key,.txt,text/plain";
  input.onchange = async () => answer(input.files.length ? (await input.files[0].text()).trim().slice(0, 200) : key);
  input.oncancel = () => answer(key);
  input.click();
})"""

_SAVE = """
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
"""

# (key) saves a text file; digits alone are a key of version 1, which the file then states
SAVE_KEY = f"""(key) => {{
  if (!key) return;
  const text = key.trim().replace(/^(?=[0-9a-f]+$)/i, {keys.stated(1)!r});
  const blob = new Blob([text + "\\n"], {{type: "text/plain"}}), name = "kfaar.key";
  {_SAVE}
}}"""

# () saves the picture that the page shows as the final one
SAVE_PICTURE = f"""async () => {{
  const picture = document.querySelector("#final-picture img");
  if (!picture) return;
  const blob = await (await fetch(picture.src)).blob(), name = "virtual-face.png";
  {_SAVE}
}}"""


def save_table(element: str, name: str) -> str:
    """() saves the table inside an element as CSV."""
    return f"""() => {{
  const rows = Array.from(document.querySelectorAll("#{element} tr"), (row) =>
    Array.from(row.cells, (cell) => '"' + cell.innerText.replaceAll('"', '""') + '"').join(","));
  if (!rows.length) return;
  const blob = new Blob([rows.join("\\r\\n") + "\\r\\n"], {{type: "text/csv"}}), name = "{name}.csv";
  {_SAVE}
}}"""


# (name, bytes) of each file -> a zip that only stores them: local headers and contents, the directory, its end
_ZIP = """
  const table = Uint32Array.from({length: 256}, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xEDB88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const crc = (bytes) => ~bytes.reduce((sum, byte) => table[(sum ^ byte) & 255] ^ (sum >>> 8), -1) >>> 0;
  const packed = (fields) => {  // [bytes, value], little endian
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
    let at = 0;
    for (const [size, value] of fields) {
      size === 2 ? view.setUint16(at, value, true) : view.setUint32(at, value, true);
      at += size;
    }
    return view;
  };
  const zip = (files) => {
    const parts = [], directory = [];
    let at = 0, length = 0;
    for (const [name, bytes] of files) {
      const called = new TextEncoder().encode(name);
      const about = [[2, 20], [2, 0x800], [2, 0], [4, 0x210000], [4, crc(bytes)], [4, bytes.length], [4, bytes.length],
        [2, called.length], [2, 0]];
      parts.push(packed([[4, 0x04034b50], ...about]), called, bytes);
      directory.push(packed([[4, 0x02014b50], [2, 20], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]]), called);
      at += 30 + called.length + bytes.length;
      length += 46 + called.length;
    }
    const end = packed([[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, length], [4, at],
      [2, 0]]);
    return new File([...parts, ...directory, end], "photos.zip", {type: "application/zip"});
  };
"""


def pack_folder(element: str) -> str:
    """() lets the visitor choose a folder, packs its pictures by person, and gives the zip to an upload.

    Gradio's own folder upload drops the folders, and with them who is on which photo.
    """
    return f"""() => {{
  {_ZIP}
  const input = document.createElement("input");
  input.type = "file";
  input.webkitdirectory = true;
  input.onchange = async () => {{
    const pictures = Array.from(input.files).filter((file) => /[.](jpe?g|png|webp|bmp)$/i.test(file.name));
    const files = await Promise.all(
      pictures.map(async (file) => [file.webkitRelativePath, new Uint8Array(await file.arrayBuffer())]));
    const given = new DataTransfer(), upload = document.querySelector("#{element} input[type=file]");
    given.items.add(zip(files));
    upload.files = given.files;
    upload.dispatchEvent(new Event("change", {{bubbles: true}}));
  }};
  input.click();
}}"""


COPY = "(...values) => values"  # inputs of one tab into another, without the server

# Gradio draws the examples as buttons without a name, upload buttons with a second control inside, and empty plots as
# boxes with a name but no role: a screen reader needs name and role, and the keyboard only one stop.
MEND_ACCESS = f"""() => {{
    const name = () => document.querySelectorAll("button.gallery-item:not([aria-label])").forEach(
        (button, place) => button.setAttribute("aria-label", {EXAMPLE!r} + " " + (place + 1)));
    const single = () => document.querySelectorAll("button:has(button):not([role])").forEach((outer) => {{
        outer.setAttribute("role", "group");
        outer.tabIndex = -1;
    }});
    const hollow = () => document.querySelectorAll(".empty[aria-label]:not([role])").forEach(
        (box) => box.setAttribute("role", "img"));
    const mend = () => {{ name(); single(); hollow(); }};
    new MutationObserver(mend).observe(document.body, {{childList: true, subtree: true}});
    mend();
}}"""
