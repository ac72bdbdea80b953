// Pictures that cannot be shown leave a sign in their place.
// @ts-check

/** @param {EventTarget | null} image */
function lost(image) {
  if (!(image instanceof HTMLImageElement) || !image.closest(".mat")) return;
  const sign = document.querySelector("template#nopicture");
  if (sign instanceof HTMLTemplateElement) image.replaceWith(sign.content.cloneNode(true));
}
document.addEventListener("error", (event) => lost(event.target), true); // it does not bubble
for (const image of document.images) if (image.complete && image.currentSrc && !image.naturalWidth) lost(image);
