// dgram.js NAME PORT: one datagram by an unconnected socket, and its answer.
const dgram = require("dgram");
const s = dgram.createSocket("udp4");
s.on("message", (m) => { console.log(m.toString()); s.close(); });
s.on("error", (e) => { console.log("error", e.message); s.close(); });
s.send("hello", Number(process.argv[3]), process.argv[2], (e) => { if (e) console.log("send:", e.message); });
setTimeout(() => { console.log("timeout"); process.exit(1); }, 2000).unref();
