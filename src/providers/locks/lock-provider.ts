import { randomUUID } from 'node:crypto'
import type { LockProvider } from '../../contracts.js'
import { ContentionError, InvalidArgumentError } from '../../errors.js'
import {
  assertStorable,
  decodeText,
  encodeText,
  type KeyKind,
  KeySpace,
  MAXIMUM_KEY_LENGTH,
  MAXIMUM_OWNER_LENGTH,
  rangeOf,
} from '../../keys.js'
import { assertMilliseconds, assertTimeToLive, refuseUnknown } from '../../options.js'
import type { HeldLockRow } from '../../repositories/lock-repository.js'
import { readPages } from '../paging.js'
import { LockCleaner } from './lock-cleaner.js'
import { Lock, type LockContext } from './lock-handle.js'
import { Lease, type LeaseOptions } from './lock-lease.js'
import { type Try, waitFor } from './lock-waiter.js'

/** A lock that somebody holds, as the database tells it. Times are milliseconds since 1970 by its clock. */
export interface HeldLock {
  readonly key: string
  readonly owner: string
  readonly fence: number
  /** Absent when the lock was granted by go-go-scope. */
  readonly acquiredAt?: number
  readonly expiresAt: number
  /** Milliseconds until it expires. */
  readonly remaining: number
}

const DEFAULT_WAIT = 10_000

/** Locks over the rows of `go_goscope_locks`. */
export class Locks implements LockProvider {
  readonly #context: LockContext
  readonly #keys: KeySpace
  readonly #defaultTtl: number
  readonly #cleaner: LockCleaner

  /** @internal */
  constructor(context: LockContext, keyPrefix: string, defaultTtl: number, kind: KeyKind = 'lock') {
    this.#context = context
    this.#keys = new KeySpace(keyPrefix, kind)
    this.#defaultTtl = defaultTtl
    this.#cleaner = new LockCleaner(context.repository, context.operations)
  }

  /**
   * Takes the lock when it is free, expired, or already held by the same owner, who keeps its token then.
   * One statement. It never throws because others want the lock too, and never waits for their transactions.
   *
   * @param ttl - Milliseconds until the lock expires.
   * @param owner - Who takes it; a random one by default. At most 255 characters.
   * @returns The lock, or `null` while somebody else holds it.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   * @example
   * ```ts
   * const lock = await state.locks.acquire('invoice:42', 30_000)
   * if (lock === null) return 'somebody else is at it'
   * ```
   */
  async acquire(key: string, ttl: number = this.#defaultTtl, owner: string = randomUUID()): Promise<Lock | null> {
    const outcome = await this.#try(key, ttl, owner)
    return 'taken' in outcome ? outcome.taken : null
  }

  /**
   * Lets the lock that `owner` holds expire `ttl` milliseconds from now.
   *
   * @returns `false` when the owner does not hold the lock any more, even if nobody else has taken it since.
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async extend(key: string, ttl: number, owner: string): Promise<boolean> {
    const storedKey = this.#keys.toStored(key)
    const storedOwner = encodeOwner(owner)
    assertTimeToLive(ttl)
    const { operations, repository } = this.#context
    return operations.run('extend', () => repository.prolongOwner(storedKey, storedOwner, ttl))
  }

  /**
   * Frees the lock, whoever holds it. The holder's handle turns invalid. Harmless when nobody holds it.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async forceRelease(key: string): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    const { operations, repository } = this.#context
    await operations.run('forceRelease', () => repository.freeAny(storedKey))
  }

  /**
   * Takes all locks, or none. They are taken in sorted order, so two callers cannot block each other.
   *
   * @param ttl - Milliseconds until each of them expires, counted from when it was taken.
   * @param owner - Who takes them; a random one by default.
   * @returns The locks in the order of `keys`, or `null` while somebody else holds one of them.
   * @throws {@link InvalidArgumentError} also when a key appears twice.
   * @throws {@link UnavailableError}
   */
  async acquireMany(
    keys: readonly string[],
    ttl: number = this.#defaultTtl,
    owner: string = randomUUID(),
  ): Promise<Lock[] | null> {
    if (new Set(keys).size < keys.length) throw new InvalidArgumentError('keys: expected each key once')
    for (const key of keys) this.#keys.toStored(key)
    const taken = new Map<string, Lock>()
    try {
      for (const key of keys.toSorted()) {
        const lock = await this.acquire(key, ttl, owner)
        if (lock === null) break
        taken.set(key, lock)
      }
    } catch (error) {
      await releaseAll(taken)
      throw error
    }
    const locks = keys.flatMap((key) => taken.get(key) ?? [])
    if (locks.length === keys.length && locks.every((lock) => lock.remaining > 0)) return locks
    await releaseAll(taken)
    return null
  }

  /**
   * Runs `work` under the lock: waits for it, keeps it alive meanwhile, and frees it in the end.
   *
   * When the lock is lost, `lease.signal` aborts; `work` should stop then, and what it returns is returned all the
   * same. Writes that must not happen after a loss belong into a transaction with `lease.assertHeld(tx)`.
   *
   * @throws {@link ContentionError} when somebody else held the lock for all of `wait`.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}, the signal's reason, and whatever `work` throws.
   * @example
   * ```ts
   * await state.locks.withLock('nightly', { ttl: 30_000, wait: 5_000 }, async (lease) => {
   *   await database.transaction(async (tx) => {
   *     await lease.assertHeld(tx)
   *     await tx.update(invoices).set({ paid: true })
   *   })
   * })
   * ```
   */
  async withLock<T>(key: string, options: LeaseOptions, work: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = await this.lease(key, options)
    let result: T
    try {
      result = await work(lease)
    } catch (error) {
      // What the work threw matters more than a release that fails for the same reason.
      await lease.release().catch(() => {})
      throw error
    }
    await lease.release()
    return result
  }

  /**
   * Waits for the lock and keeps it alive until it is released.
   *
   * @throws {@link ContentionError} when somebody else held the lock for all of `wait`.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}, and the signal's reason.
   * @example
   * ```ts
   * await using lease = await state.locks.lease('nightly', { ttl: 30_000 })
   * ```
   */
  async lease(key: string, options: LeaseOptions = {}): Promise<Lease> {
    refuseUnknown('options', options, ['ttl', 'wait', 'renew', 'owner', 'signal'])
    const { ttl = this.#defaultTtl, wait = DEFAULT_WAIT, renew = true, owner = randomUUID(), signal } = options
    const storedKey = this.#keys.toStored(key)
    assertTimeToLive(ttl)
    assertMilliseconds('options.wait', wait)
    const lock = await waitFor(wait, signal, async (tries) => {
      // The first try goes straight for it; the later ones read first, which takes no lock.
      const read = () => this.#remaining(storedKey, encodeOwner(owner))
      const held = tries === 0 ? 0 : await this.#context.operations.run('acquire', read)
      return held > 0 ? { remaining: held } : this.#try(key, ttl, owner)
    })
    if (lock === null) {
      throw new ContentionError(`somebody else held the lock for ${wait} ms: try again later, or wait longer`, {
        operation: 'lease',
      })
    }
    return new Lease(lock, ttl, renew)
  }

  /**
   * Who holds the lock, and for how long still; `null` when nobody does. Reads without disturbing anybody.
   *
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async inspect(key: string): Promise<HeldLock | null> {
    const storedKey = this.#keys.toStored(key)
    const row = await this.#context.operations.run('inspect', () => this.#context.repository.find(storedKey))
    return row === undefined ? null : this.#toHeldLock(row)
  }

  /**
   * All locks that somebody holds, by ascending key.
   *
   * @param options - `prefix`: only keys that begin with it.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async list({ prefix = '' }: { prefix?: string } = {}): Promise<HeldLock[]> {
    assertStorable('options.prefix', prefix, MAXIMUM_KEY_LENGTH)
    const range = rangeOf(this.#keys.start + prefix)
    const { operations, repository } = this.#context
    const held: HeldLock[] = []
    const rows = readPages(operations, 'list', (from?: string) => repository.list(range, from))
    for await (const row of rows) held.push(this.#toHeldLock(row))
    // The range of a prefix that ends in a space may hold a key without it.
    return held.filter(({ key }) => key.startsWith(prefix))
  }

  /**
   * Takes the lock if there was no tenure since the one with the token `seenFence`, and keeps it alive.
   *
   * @internal
   */
  async leaseUnchanged(key: string, ttl: number, seenFence: number): Promise<Try<Lease>> {
    const outcome = await this.#try(key, ttl, randomUUID(), seenFence)
    return 'taken' in outcome ? { taken: new Lease(outcome.taken, ttl, true) } : outcome
  }

  async #try(key: string, ttl: number, owner: string, seenFence?: number): Promise<Try<Lock>> {
    const storedKey = this.#keys.toStored(key)
    const storedOwner = encodeOwner(owner)
    assertTimeToLive(ttl)
    const { operations, repository, patience } = this.#context
    let tries = 0
    const take = async (): Promise<Try<Lock>> => {
      // A row that was busy is looked at first, which waits for nobody and stands in nobody's way.
      const held = tries++ === 0 ? 0 : await this.#remaining(storedKey, storedOwner)
      if (held > 0) return { remaining: held }
      // Measured before the request: the lock cannot expire earlier than this tells.
      const deadline = performance.now() + ttl
      const taking = await repository.takeIfFree(storedKey, storedOwner, ttl, seenFence)
      if (!taking.granted) return taking
      const tenure = { key: storedKey, owner: storedOwner, fence: taking.fence }
      return { taken: new Lock(key, owner, tenure, deadline, this.#context) }
    }
    try {
      return await operations.run('acquire', take, { contention: patience })
    } catch (error) {
      // Whoever holds the row for that long is at work under the lock.
      if (error instanceof ContentionError) return { remaining: 0 }
      throw error
    } finally {
      this.#cleaner.cleanOccasionally()
    }
  }

  /** Milliseconds for which somebody other than `owner` still holds the lock. */
  async #remaining(storedKey: string, storedOwner: string): Promise<number> {
    const row = await this.#context.repository.find(storedKey)
    return row === undefined || row.owner === storedOwner ? 0 : row.remaining
  }

  #toHeldLock(row: HeldLockRow): HeldLock {
    return {
      key: this.#keys.fromStored(row.key),
      owner: decodeText(row.owner),
      fence: row.fence,
      ...(row.acquiredAt !== null && { acquiredAt: row.acquiredAt }),
      expiresAt: row.expiresAt,
      remaining: row.remaining,
    }
  }
}

async function releaseAll(locks: ReadonlyMap<string, Lock>): Promise<void> {
  // A lock that cannot be released now expires.
  await Promise.allSettled([...locks.values()].map((lock) => lock.release()))
}

function encodeOwner(owner: string): string {
  assertStorable('owner', owner, MAXIMUM_OWNER_LENGTH)
  // MariaDB can be told to take an empty text for NULL, which stands for nobody.
  if (owner === '') throw new InvalidArgumentError('owner: expected at least one character, got none')
  const stored = encodeText(owner)
  assertStorable('owner, with its trailing space,', stored, MAXIMUM_OWNER_LENGTH)
  return stored
}
