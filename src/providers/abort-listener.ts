/**
 * Calls `listener` with the signal's reason when it aborts, at once if it has aborted already.
 *
 * @returns What ends the listening. A signal that lives long would keep every listener it was given.
 */
export function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): () => void {
  const listen = () => listener(signal.reason)
  if (signal.aborted) {
    listen()
    return () => {}
  }
  signal.addEventListener('abort', listen, { once: true })
  return () => signal.removeEventListener('abort', listen)
}

/**
 * The work's outcome, unless the signal aborts first. The work goes on in any case.
 *
 * @throws the signal's reason, and whatever the work throws.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopListening = onAbort(signal, reject)
    work.finally(stopListening).then(resolve, reject)
  })
}
