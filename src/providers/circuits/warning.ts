import { NotConnectedError, PersistenceError } from '../../errors.js'

/** Tells of an error that no caller waits for, such as that of a callback, without ending the process. */
export function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}

/** Warns, once, of a failure in the background that does not pass by itself. */
export class BackgroundWarning {
  #isGiven = false

  of(error: unknown): void {
    if (this.#isGiven || error instanceof NotConnectedError) return
    if (error instanceof PersistenceError && error.retryable) return
    this.#isGiven = true
    warn(error)
  }
}
