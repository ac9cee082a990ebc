import { outcomeCodec } from '../../codec/outcome-codec.js'
import type { IdempotencyProvider, IdempotencyRecord } from '../../contracts.js'
import type { OwnTransaction } from '../../database/own-transaction.js'
import { KeySpace } from '../../keys.js'
import { assertTimeToLive } from '../../options.js'
import type { Lease } from '../locks/lock-lease.js'
import { type ExecuteOptions, type ExecutionContext, executeOnce, type Operation } from './idempotency-execution.js'

/** Outcomes of operations, kept as rows of `go_goscope_cache` that the cache provider does not see. */
export class Idempotency implements IdempotencyProvider {
  readonly #context: ExecutionContext
  readonly #keys: KeySpace

  /** @internal */
  constructor(context: ExecutionContext, keyPrefix: string) {
    this.#context = context
    this.#keys = new KeySpace(keyPrefix, 'idempotency')
  }

  /**
   * The stored outcome, or `null` when there is none or it has expired. Errors, `undefined`, Date, BigInt, Map and
   * Set come back as they were stored.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async get<T>(key: string): Promise<IdempotencyRecord<T> | null> {
    const storedKey = this.#keys.toStored(key)
    const row = await this.#context.operations.run('get', () => this.#context.repository.find(storedKey))
    if (row === undefined) return null
    const value = outcomeCodec.decode(row.value).value as T
    return row.expiresAt === null ? { value } : { value, expiresAt: row.expiresAt }
  }

  /**
   * Stores an outcome, replacing an earlier one.
   *
   * @param ttl - Milliseconds until it expires; without one it stays until it is deleted.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link ContentionError} |
   *   {@link UnavailableError}
   */
  async set<T>(key: string, value: T, ttl?: number): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    if (ttl !== undefined) assertTimeToLive(ttl)
    const text = outcomeCodec.encode({ value, isFailure: false, fingerprint: undefined })
    await this.#context.operations.run('set', () =>
      this.#context.repository.put({ key: storedKey, value: text, ttl: ttl ?? null }),
    )
  }

  /**
   * Forgets an outcome. Harmless when there is none.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async delete(key: string): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    await this.#context.operations.run('delete', () => this.#context.repository.remove(storedKey))
  }

  /**
   * Runs an operation once, however often and wherever it is called with this key: the first caller runs it, those
   * that come meanwhile wait for its outcome, and later ones get the stored one, for as long as `ttl` says.
   *
   * If the process that runs it crashes, its claim expires and another caller runs the operation again. With
   * `transaction: true` the operation's writes and the record of its outcome are committed together, so even then
   * its effect happens once; without, a crash between effect and record lets it happen again.
   *
   * @returns What the operation returned, now or then.
   * @throws {@link InProgressError} when another caller was running it for all of `wait`.
   * @throws {@link IdempotencyMismatchError} when the key was used with another fingerprint.
   * @throws {@link LockLostError} when the claim was lost before the outcome was stored.
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}, the signal's reason,
   *   and whatever the operation throws.
   * @example
   * ```ts
   * const receipt = await idempotency.execute('charge:42', () => charge(42), { ttl: 24 * 3_600_000 })
   *
   * await idempotency.execute('transfer:7', async (tx) => {
   *   await tx.update(accounts).set({ balance: sql`balance - 10` }).where(eq(accounts.id, 1))
   * }, { transaction: true })
   * ```
   */
  execute<T>(
    key: string,
    operation: (tx: OwnTransaction, lease: Lease) => T | Promise<T>,
    options: ExecuteOptions & { transaction: true },
  ): Promise<T>
  execute<T>(
    key: string,
    operation: (lease: Lease) => T | Promise<T>,
    options?: ExecuteOptions & { transaction?: false },
  ): Promise<T>
  async execute<T>(key: string, operation: Operation<T>, options: ExecuteOptions = {}): Promise<T> {
    return executeOnce(this.#context, key, this.#keys.toStored(key), operation, options)
  }
}
