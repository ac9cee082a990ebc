import { setTimeout as sleep } from 'node:timers/promises'
import { ContentionError, type LockLossReason, LockLostError, NotConnectedError } from '../../errors.js'
import { MAXIMUM_TIMER } from '../../options.js'
import type { Lock } from './lock-handle.js'

/**
 * Watches over a held lock until `ended` aborts, and renews it at a third of its ttl.
 *
 * The deadline is that of the monotonic local clock, counted from before the request that set it: no clock that
 * somebody sets moves it, and slow requests shorten it. A failed renewal is repeated within the deadline; a lock
 * the database calls lost is lost for good, even if time is left by the local clock.
 *
 * @returns A signal that aborts with a {@link LockLostError} no later than the lock's deadline.
 */
export function keepAlive(lock: Lock, ttl: number, renews: boolean, ended: AbortSignal): AbortSignal {
  const lost = new AbortController()
  const stop = AbortSignal.any([ended, lost.signal])
  let reason: LockLossReason = 'expired'
  let deadline: NodeJS.Timeout

  const lose = (how: LockLossReason) => lost.abort(new LockLostError(how, messages[how]))
  const watch = () => {
    clearTimeout(deadline)
    const expire = () => (lock.remaining > 0 ? watch() : lose(reason))
    deadline = setTimeout(expire, Math.min(lock.remaining, MAXIMUM_TIMER)).unref()
  }

  const renew = async () => {
    while (!stop.aborted) {
      await sleep(Math.min(ttl / 3, MAXIMUM_TIMER), undefined, { signal: stop, ref: false })
      while (!(await extended())) {
        // Several tries fit into what is left of the ttl.
        await sleep(Math.min(ttl / 20, MAXIMUM_TIMER), undefined, { signal: stop, ref: false })
      }
    }
  }

  const extended = async (): Promise<boolean> => {
    try {
      if (await lock.renew(ttl)) {
        reason = 'expired'
        if (!stop.aborted) watch()
        return true
      }
      lose('stolen')
    } catch (error) {
      if (error instanceof NotConnectedError) return true
      // Whoever holds the row may be the caller's own transaction that asserts the lock.
      if (!(error instanceof ContentionError)) reason = 'unreachable'
    }
    return false
  }

  watch()
  stop.addEventListener('abort', () => clearTimeout(deadline), { once: true })
  if (renews) renew().catch(() => {}) // The waits end with an AbortError, which has been told by then.
  return lost.signal
}

const messages: Readonly<Record<LockLossReason, string>> = {
  stolen: 'the lock was released by force, or expired and was taken over',
  expired: 'the lock expired before it was renewed',
  unreachable: 'the lock expired while the database could not be reached',
}
