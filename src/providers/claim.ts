import type { Operations } from '../database/operations.js'
import type { CacheRepository, ClaimedRow } from '../repositories/cache-repository.js'
import type { Lease } from './locks/lock-lease.js'
import type { Locks } from './locks/lock-provider.js'
import { waitFor } from './locks/lock-waiter.js'

/** What a value's maker works with. The value and its claim have the same stored key, in different tables. */
export interface ClaimContext {
  readonly repository: CacheRepository
  readonly operations: Operations
  /** The locks of these values, apart from the user's own. */
  readonly locks: Locks
}

/** A value that is there, or the right to make it. */
export type Claim = (ClaimedRow & { readonly value: string }) | Lease

/** How somebody waits for a value, or for the right to make it. */
export interface Waiting {
  /** Milliseconds after which the claim of a crashed maker expires. */
  readonly lease: number
  /** Milliseconds to wait while somebody else makes the value. */
  readonly wait: number
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
  /** Called whenever the value is found missing. What it throws ends the waiting. */
  readonly onMissing?: () => void
}

/**
 * Waits until the value is there or nobody makes it, and claims it in that case.
 *
 * The claim is granted only if there was no other since the value was found missing, so that no value is made twice.
 * A holder that let its claim expire may still have stored the value, in the very transaction that kept the claim from
 * being granted; then the value is looked for once more.
 *
 * @param storedKey - Of the value, and of the lock.
 * @returns `null` when somebody else was making it for all of `wait`.
 * @throws the signal's reason, and whatever `onMissing` throws.
 */
export function claimOrRead(
  context: ClaimContext,
  operation: string,
  key: string,
  storedKey: string,
  { lease, wait, signal, onMissing }: Waiting,
): Promise<Claim | null> {
  const { repository, operations, locks } = context
  const find = () => operations.run(operation, () => repository.findClaimed(storedKey, storedKey))
  return waitFor<Claim>(wait, signal, async () => {
    const row = await find()
    if (hasValue(row)) return { taken: row }
    onMissing?.()
    if (row.heldFor > 0) return { remaining: row.heldFor }
    const outcome = await locks.leaseUnchanged(key, lease, row.fence)
    if (!('taken' in outcome && row.isAbandoned)) return outcome
    const { taken: claim } = outcome
    try {
      const again = await find()
      if (!hasValue(again)) return outcome
      await claim.release()
      return { taken: again }
    } catch (error) {
      await claim.release().catch(() => {})
      throw error
    }
  })
}

function hasValue(row: ClaimedRow): row is ClaimedRow & { readonly value: string } {
  return row.value !== null
}
