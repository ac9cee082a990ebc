import type { LockHandle } from '../contracts.js'
import type { Operations } from '../database/operations.js'
import { assertTimeToLive } from '../options.js'
import type { LockRepository, Tenure } from '../repositories/lock-repository.js'

/**
 * How often a write of a lock is repeated while another transaction holds its row: three pauses take less than
 * 150 ms, which other callers' statements pass in; a transaction that asserts the lock lasts longer.
 */
export const patience = { contention: 3 }

/** A tenure as its holder sees it. Every statement names owner and token, so a late handle touches no successor. */
export class TenureHandle implements LockHandle {
  readonly key: string
  readonly owner: string
  readonly fence: number
  readonly #tenure: Tenure
  readonly #repository: LockRepository
  readonly #operations: Operations
  #deadline: number

  /**
   * @param key - As the caller passed it.
   * @param owner - As the caller passed it.
   * @param tenure - With key and owner in their stored form.
   * @param deadline - On the clock of `performance.now()`.
   */
  constructor(
    key: string,
    owner: string,
    tenure: Tenure,
    deadline: number,
    repository: LockRepository,
    operations: Operations,
  ) {
    this.key = key
    this.owner = owner
    this.fence = tenure.fence
    this.#tenure = tenure
    this.#deadline = deadline
    this.#repository = repository
    this.#operations = operations
  }

  get remaining(): number {
    return Math.max(0, this.#deadline - performance.now())
  }

  async release(): Promise<void> {
    this.#deadline = 0
    await this.#operations.run('release', () => this.#repository.freeTenure(this.#tenure), patience)
  }

  async extend(ttl: number): Promise<boolean> {
    assertTimeToLive(ttl)
    const extend = async () => {
      const deadline = performance.now() + ttl
      const extended = await this.#repository.prolongTenure(this.#tenure, ttl)
      this.#deadline = extended ? deadline : 0
      return extended
    }
    return this.#operations.run('extend', extend, patience)
  }

  isValid(): Promise<boolean> {
    return this.#operations.run('isValid', () => this.#repository.isLive(this.#tenure))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }
}
