import { randomUUID } from 'node:crypto'
import type { LockHandle, LockProvider } from '../contracts.js'
import type { Operations } from '../database/operations.js'
import { ContentionError } from '../errors.js'
import { assertStorable, encodeText, KeySpace, MAXIMUM_OWNER_LENGTH } from '../keys.js'
import { assertTimeToLive } from '../options.js'
import type { LockRepository } from '../repositories/lock-repository.js'
import { patience, TenureHandle } from './lock-handle.js'

/** Locks over the rows of `go_goscope_locks`. */
export class Locks implements LockProvider {
  readonly #repository: LockRepository
  readonly #operations: Operations
  readonly #keys: KeySpace
  readonly #defaultTtl: number

  constructor(repository: LockRepository, operations: Operations, keyPrefix: string, defaultTtl: number) {
    this.#repository = repository
    this.#operations = operations
    this.#keys = new KeySpace(keyPrefix, 'lock')
    this.#defaultTtl = defaultTtl
  }

  /**
   * Takes the lock when it is free, expired, or already held by the same owner, who keeps its token then.
   * One statement; it never throws because others want the lock too.
   *
   * @param ttl - Milliseconds until the lock expires.
   * @param owner - Who takes it; a random one by default. At most 255 characters.
   * @returns A handle, or `null` while somebody else holds the lock.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   * @example
   * ```ts
   * const lock = await state.locks.acquire('invoice:42', 30_000)
   * if (lock === null) return 'somebody else is at it'
   * ```
   */
  async acquire(key: string, ttl: number = this.#defaultTtl, owner: string = randomUUID()): Promise<LockHandle | null> {
    const storedKey = this.#keys.toStored(key)
    const storedOwner = encodeOwner(owner)
    assertTimeToLive(ttl)
    const take = async () => {
      // Measured before the request: the lock cannot expire earlier than this tells.
      const deadline = performance.now() + ttl
      const taking = await this.#repository.takeIfFree(storedKey, storedOwner, ttl)
      if (!taking.granted) return null
      const tenure = { key: storedKey, owner: storedOwner, fence: taking.fence }
      return new TenureHandle(key, owner, tenure, deadline, this.#repository, this.#operations)
    }
    try {
      return await this.#operations.run('acquire', take, patience)
    } catch (error) {
      // Whoever holds the row for that long is at work under the lock.
      if (error instanceof ContentionError) return null
      throw error
    }
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
    return this.#operations.run('extend', () => this.#repository.prolongOwner(storedKey, storedOwner, ttl), patience)
  }

  /**
   * Frees the lock, whoever holds it. The holder's handle turns invalid. Harmless when nobody holds it.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async forceRelease(key: string): Promise<void> {
    const storedKey = this.#keys.toStored(key)
    await this.#operations.run('forceRelease', () => this.#repository.freeAny(storedKey), patience)
  }
}

function encodeOwner(owner: string): string {
  assertStorable('owner', owner, MAXIMUM_OWNER_LENGTH)
  const stored = encodeText(owner)
  assertStorable('owner, with its trailing space,', stored, MAXIMUM_OWNER_LENGTH)
  return stored
}
