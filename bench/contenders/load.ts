/** How many keys there are to choose from, and so how often a slice can take what only comes once. */
export const KEYS = 4_096

/** How many tasks have checkpoints, and how many each. */
export const TASKS = 256
export const CHECKPOINTS_PER_TASK = 20

/** How many checkpoints a clean-up keeps. */
export const KEPT_CHECKPOINTS = 10

/** How many values an operation on several of them takes. */
export const BATCH = 100

/** Long enough not to end meanwhile. */
export const TTL = 600_000

/** How long a lock lasts that all callers want: a release that fails must not end the contest. */
export const HOT_TTL = 1_000

/** Tries at once again until it is granted. */
export async function insist<Granted>(tryOnce: () => Promise<Granted | null>): Promise<Granted> {
  const deadline = performance.now() + 5_000
  while (performance.now() < deadline) {
    const granted = await tryOnce()
    if (granted !== null) return granted
  }
  throw new Error('not granted within 5 s')
}

/** The key of a turn, if all keys are used in turn. */
export const keyOf = (turn: number): string => `key-${turn % KEYS}`

/** The keys of a turn that takes several. */
export function keysOf(turn: number): string[] {
  return Array.from({ length: BATCH }, (_, index) => keyOf(turn * BATCH + index))
}

/** All keys. */
export const allKeys: readonly string[] = Array.from({ length: KEYS }, (_, index) => keyOf(index))

export const taskOf = (turn: number): string => `task-${turn % TASKS}`

/** The turns that a slice is prepared for. */
export const turnsFrom = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first + index)

/** What is cached: a value of ordinary size. */
export interface Product {
  readonly id: string
  readonly name: string
  readonly tags: readonly string[]
  readonly prices: Readonly<Record<string, number>>
}

export function productOf(key: string): Product {
  return {
    id: key,
    name: 'A product with a name of ordinary length',
    tags: ['new', 'sale', 'blue', 'large'],
    prices: { EUR: 1299.5, USD: 1399, JPY: 198_000, GBP: 1099.99 },
  }
}

/** What a task needs to resume: about a kilobyte. */
export const progressData = {
  row: 123_456,
  file: 'imports/2024/03/31/transactions.csv',
  batches: Array.from({ length: 40 }, (_, index) => ({ batch: index, rows: 100 })),
}

/** The checkpoints that a task begins with. */
export function checkpointsOf(task: string): { id: string; taskId: string; sequence: number }[] {
  return turnsFrom(1, CHECKPOINTS_PER_TASK).map((sequence) => ({ id: `${task}-${sequence}`, taskId: task, sequence }))
}

/** Runs `call` for all items, a few at a time. */
export async function forAll<Item>(items: Iterable<Item>, call: (item: Item) => Promise<unknown>): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const caller = async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await call(next.value)
  }
  await Promise.all(Array.from({ length: 8 }, caller))
}
