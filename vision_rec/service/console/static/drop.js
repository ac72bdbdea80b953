// <vr-drop>: the picture to search with, chosen, dropped or pasted; shrunk here, and kept as long as this tab lives.
// It holds `picture` (a blob) and `key`, which stands for it in the address, and says "vr-picture" when they change.
// @ts-check

const MAX_SIDE = 1024;
const KEEP = 5; // pictures per tab, for Back
const PREFIX = "picture:";

class Drop extends HTMLElement {
  /** @type {Blob | null} */
  picture = null;
  key = "";

  connectedCallback() {
    this.file = /** @type {HTMLInputElement} */ (this.querySelector("input[type=file]"));
    this.preview = /** @type {HTMLImageElement} */ (document.querySelector("#preview"));
    this.crop = /** @type {any} */ (document.querySelector("vr-crop"));
    this.file.addEventListener("change", () => this.file?.files?.[0] && this.use(this.file.files[0]));
    for (const name of ["dragenter", "dragover"]) {
      this.addEventListener(name, (event) => {
        event.preventDefault();
        this.classList.add("over");
      });
    }
    for (const name of ["dragleave", "drop"]) this.addEventListener(name, () => this.classList.remove("over"));
    // A picture dropped beside the field must not replace the page.
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      const dropped = event.dataTransfer?.files[0];
      if (dropped) this.use(dropped);
    });
    document.addEventListener("paste", (event) => {
      const pasted = event.clipboardData?.files[0];
      if (pasted) this.use(pasted);
    });
    document.querySelector("#forget")?.addEventListener("click", () => {
      this.clear();
      this.told();
    });
  }

  /** Take a new picture. @param {Blob} blob */
  async use(blob) {
    this.show(blob);
    this.crop?.reset();
    this.picture = await shrink(blob);
    this.key = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    keep(this.key, this.picture);
    this.told();
  }

  /** Take a picture of this tab's past; says whether it is still there. @param {string} key */
  async restore(key) {
    const blob = await kept(key);
    this.clear();
    if (!blob) return false;
    this.show(blob);
    this.picture = blob;
    this.key = key;
    return true;
  }

  clear() {
    this.show(null);
    this.picture = null;
    this.key = "";
    if (this.file) this.file.value = "";
    this.crop?.reset();
  }

  /** @param {Blob | null} blob */
  show(blob) {
    if (!this.preview) return;
    if (this.preview.src) URL.revokeObjectURL(this.preview.src);
    this.preview.hidden = !blob;
    document.documentElement.classList.toggle("pictured", Boolean(blob));
    if (blob) this.preview.src = URL.createObjectURL(blob);
    else this.preview.removeAttribute("src");
  }

  told() {
    this.dispatchEvent(new Event("vr-picture", { bubbles: true }));
  }
}

/** Shrink a picture before it is sent; what the browser cannot read goes as it is. @param {Blob} blob @returns {Promise<Blob>} */
async function shrink(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const ratio = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
    if (ratio === 1 && blob.size < 500_000) return blob;
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * ratio));
    canvas.height = Math.max(1, Math.round(bitmap.height * ratio));
    const context = canvas.getContext("2d");
    if (!context) return blob;
    context.fillStyle = "#fff"; // as the server does: transparent pixels lie on white
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob((small) => done(small || blob), "image/jpeg", 0.9));
  } catch {
    return blob;
  }
}

/** @param {string} key @param {Blob} blob */
function keep(key, blob) {
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    try {
      const order = /** @type {string[]} */ (JSON.parse(sessionStorage.getItem("pictures") || "[]"));
      for (const old of order.splice(0, Math.max(0, order.length + 1 - KEEP))) sessionStorage.removeItem(PREFIX + old);
      sessionStorage.setItem(PREFIX + key, String(reader.result));
      sessionStorage.setItem("pictures", JSON.stringify([...order, key]));
    } catch {
      // no room, or storage is off: Back then asks for the picture again
    }
  });
  reader.readAsDataURL(blob);
}

/** @param {string} key @returns {Promise<Blob | null>} */
async function kept(key) {
  try {
    const [head, data] = (sessionStorage.getItem(PREFIX + key) || "").split(";base64,");
    if (!data) return null;
    return new Blob([Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0))], { type: head.slice("data:".length) });
  } catch {
    return null;
  }
}

customElements.define("vr-drop", Drop);
