import { CallTimeoutError } from '../../errors.js'

/** A call to a service. The signal aborts when nobody waits for its result any more. */
export type Call<T> = (context: { readonly signal: AbortSignal }) => T | Promise<T>

/**
 * Makes a call that ends, for its caller, no later than its time is up or the caller's signal aborts.
 *
 * @param timeout - Milliseconds; `undefined` for no limit.
 * @throws {@link CallTimeoutError}, the signal's reason, and whatever `call` throws.
 */
export function makeCall<T>(call: Call<T>, timeout: number | undefined, signal: AbortSignal | undefined): Promise<T> {
  const controller = new AbortController()
  const work = (async () => call({ signal: controller.signal }))()
  if (timeout === undefined && signal === undefined) return work
  return new Promise<T>((resolve, reject) => {
    const stop = (reason: unknown) => {
      end()
      controller.abort(reason)
      reject(reason)
    }
    const onAbort = () => stop(signal?.reason)
    const onTimeout = () => {
      stop(new CallTimeoutError(`the call took longer than ${timeout} ms`, { operation: 'execute' }))
    }
    const timer = timeout === undefined ? undefined : setTimeout(onTimeout, timeout)
    // A signal that lives long must not keep every call it was given to.
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    signal?.addEventListener('abort', onAbort)
    work.finally(end).then(resolve, reject)
  })
}
