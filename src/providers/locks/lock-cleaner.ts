import type { Operations } from '../../database/operations.js'
import { PersistenceError } from '../../errors.js'
import { rangeOf } from '../../keys.js'
import type { LockRepository } from '../../repositories/lock-repository.js'

// Far longer than any statement waits for a row: a waiter must not insert with an older clock after the deletion.
const RETENTION = 24 * 3_600_000

// Milliseconds between two rounds.
const INTERVAL = 60_000

const PAGES_PER_ROUND = 10

// Less than every key.
const FIRST = rangeOf('').from

/**
 * Deletes the rows of locks that nobody has held for a day. Each round walks on through the primary key in short
 * statements that wait for nobody, off the path of the caller that gave the occasion.
 */
export class LockCleaner {
  readonly #repository: LockRepository
  readonly #operations: Operations
  #next = 0
  #position = FIRST

  constructor(repository: LockRepository, operations: Operations) {
    this.#repository = repository
    this.#operations = operations
  }

  /** Begins a round if it is time; never more than one at once. */
  cleanOccasionally(): void {
    const now = performance.now()
    if (now < this.#next) return
    this.#next = now + INTERVAL
    this.#operations
      .run('clean up', () => this.#round())
      .catch((error: unknown) => {
        // The next occasion tries again; no caller waits for this.
        if (!(error instanceof PersistenceError)) throw error
      })
  }

  async #round(): Promise<void> {
    for (let page = 0; page < PAGES_PER_ROUND; page++) {
      const position = await this.#repository.removeOldOfPage(this.#position, RETENTION)
      this.#position = position ?? FIRST
      if (position === undefined) return
    }
  }
}
