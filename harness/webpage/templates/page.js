for (const link of document.querySelectorAll("a[data-document]")) {
  const text = document.getElementById(link.dataset.document).textContent;
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
}
