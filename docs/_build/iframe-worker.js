// Search runs in a Worker, which browsers refuse to pages opened from a disk (file://). There, a hidden frame does its
// work: the script is loaded into it, and messages go to and fro as they would with a Worker.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      const attached = new Promise(done => {
        const attach = () => { document.body.append(this.frame); done() }
        document.body ? attach() : addEventListener("DOMContentLoaded", attach)
      })
      this.ready = attached.then(() => new Promise((loaded, failed) => {
        const inner = this.frame.contentWindow
        inner.postMessage = data => {
          const event = new MessageEvent("message", { data })
          this.dispatchEvent(event)
          this.onmessage?.(event)
        }
        const script = inner.document.createElement("script")
        script.src = url
        script.onload = loaded
        script.onerror = failed
        inner.document.body.append(script)
      }))
    }
    postMessage(data) {
      this.ready.then(() => {
        const inner = this.frame.contentWindow
        inner.dispatchEvent(new inner.MessageEvent("message", { data }))
      })
    }
    terminate() { this.frame.remove() }
  }
}
