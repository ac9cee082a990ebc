import { setTimeout as sleep } from 'node:timers/promises'

/** The result of one try: what was taken, or for how many milliseconds its holder still has it. */
export type Try<T> = { readonly taken: T } | { readonly remaining: number }

const SHORTEST_PAUSE = 10
const LONGEST_PAUSE = 250

/**
 * Tries until something is taken or the time is up. Pauses grow and are jittered, so that many waiters spread out,
 * and end no later than the holder's time does, so that an expired lock is taken over promptly.
 *
 * There is no queue: whoever tries first after the release gets it.
 *
 * @param wait - Milliseconds.
 * @param attempt - Tries to take it. Gets the number of tries before.
 * @returns What was taken, or `null` when the time was up.
 * @throws the signal's reason.
 */
export async function waitFor<T>(
  wait: number,
  signal: AbortSignal | undefined,
  attempt: (tries: number) => Promise<Try<T>>,
): Promise<T | null> {
  const deadline = performance.now() + wait
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted()
    const outcome = await attempt(tries)
    if ('taken' in outcome) return outcome.taken
    const left = deadline - performance.now()
    if (left <= 0) return null
    const growing = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(tries, 10))
    const jittered = growing * (0.5 + Math.random() / 2)
    const untilExpiry = outcome.remaining > 0 ? outcome.remaining + 1 : SHORTEST_PAUSE
    await pause(Math.min(jittered, untilExpiry, left), signal)
  }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    // The caller's own reason tells more than the timer's AbortError.
    signal?.throwIfAborted()
    throw error
  }
}
