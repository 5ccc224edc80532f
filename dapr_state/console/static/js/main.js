// The page begins here.
const about = await (await fetch("about.json")).json();
document.getElementById("app").textContent = `dapr-state ${about.version}`;
