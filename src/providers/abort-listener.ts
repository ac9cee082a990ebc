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

/** A signal that follows others until it is released. */
export interface FollowingSignal {
  readonly signal: AbortSignal
  release(): void
}

/**
 * A signal that aborts with the first of `signals` to do so.
 * That of `AbortSignal.any` could not be released: the longest-lived of them would keep it, and who listens to it.
 */
export function follow(signals: readonly AbortSignal[]): FollowingSignal {
  const controller = new AbortController()
  const ends = signals.map((signal) => onAbort(signal, (reason) => controller.abort(reason)))
  return {
    signal: controller.signal,
    release() {
      for (const end of ends) end()
    },
  }
}
