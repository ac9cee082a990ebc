import type { LockHandle } from '../../contracts.js'
import type { Operations } from '../../database/operations.js'
import type { Executor } from '../../database/statement.js'
import { runIn, type Transaction } from '../../database/transaction.js'
import { LockLostError } from '../../errors.js'
import { assertTimeToLive } from '../../options.js'
import type { LockRepository, Tenure } from '../../repositories/lock-repository.js'

/** What a lock's handle works with. */
export interface LockContext {
  readonly repository: LockRepository
  readonly operations: Operations
  /** Milliseconds to wait for the answer to a statement inside a caller's transaction. */
  readonly timeout: number
  /** Repetitions of an `acquire` or a renewal while another transaction holds the lock's row. */
  readonly patience: number
}

/** One tenure of a lock. Every statement names owner and token, so a late handle touches no successor. */
export class Lock implements LockHandle {
  readonly key: string
  readonly owner: string
  readonly fence: number
  /** @internal */
  readonly tenure: Tenure
  readonly #context: LockContext
  #deadline: number

  /**
   * @param key - As the caller passed it.
   * @param owner - As the caller passed it.
   * @param tenure - With key and owner in their stored form.
   * @param deadline - On the clock of `performance.now()`.
   * @internal
   */
  constructor(key: string, owner: string, tenure: Tenure, deadline: number, context: LockContext) {
    this.key = key
    this.owner = owner
    this.fence = tenure.fence
    this.tenure = tenure
    this.#deadline = deadline
    this.#context = context
  }

  get remaining(): number {
    return Math.max(0, this.#deadline - performance.now())
  }

  async release(): Promise<void> {
    this.#deadline = 0
    const { operations, repository } = this.#context
    await operations.run('release', () => repository.freeTenure(this.tenure), { isFollowUp: true })
  }

  async extend(ttl: number): Promise<boolean> {
    assertTimeToLive(ttl)
    return this.#extend(ttl)
  }

  /**
   * Like {@link extend}, but soon gives up while another transaction holds the row, for callers that try again.
   *
   * @internal
   */
  renew(ttl: number): Promise<boolean> {
    return this.#extend(ttl, this.#context.patience)
  }

  #extend(ttl: number, contention?: number): Promise<boolean> {
    const { operations, repository } = this.#context
    const extend = async () => {
      // Measured before the request, so that this process never counts on more than it has.
      const deadline = performance.now() + ttl
      const extended = await repository.prolongTenure(this.tenure, ttl)
      this.#deadline = extended ? deadline : 0
      return extended
    }
    return operations.run('extend', extend, { contention, isFollowUp: true })
  }

  isValid(): Promise<boolean> {
    const { operations, repository } = this.#context
    return operations.run('isValid', () => repository.isLive(this.tenure))
  }

  /**
   * Makes the caller's transaction depend on this lock: reads its row FOR UPDATE. Until that transaction ends nobody
   * can take the lock over, even when it expires meanwhile; others' `acquire` answers `null` at once.
   * A holder that was paused and lost the lock cannot get past this line, so it cannot commit.
   *
   * @param transaction - Drizzle's transaction, or a mysql2 connection on which one was begun.
   * @throws {@link LockLostError} when the lock is not held any more: let it roll the transaction back.
   * @throws {@link InvalidArgumentError} when there is no open transaction.
   * @throws {@link ContentionError} | {@link UnavailableError} Nothing is repeated inside a caller's transaction.
   * @example
   * ```ts
   * await database.transaction(async (tx) => {
   *   await lock.assertHeld(tx)
   *   await tx.update(invoices).set({ paid: true }).where(eq(invoices.id, 42))
   * })
   * ```
   */
  async assertHeld(transaction: Transaction): Promise<void> {
    const { repository, timeout } = this.#context
    const guard = (executor: Executor) => repository.guard(executor, this.tenure)
    const isHeld = await runIn(transaction, timeout, 'assertHeld', guard)
    if (isHeld) return
    const reason = this.remaining > 0 ? 'stolen' : 'expired'
    this.#deadline = 0
    throw new LockLostError(reason, 'the lock is not held any more: roll the transaction back', {
      operation: 'assertHeld',
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
