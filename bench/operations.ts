/** Something to be measured. */
export interface Operation {
  readonly name: OperationName
  readonly provider: Provider
  /** What the bare statement is that could do the same. */
  readonly floor: string
  /** What each call meets. */
  readonly situation: string
}

export type Provider = 'connection' | 'locks' | 'circuits' | 'cache' | 'checkpoints' | 'idempotency'

const byProvider = {
  connection: [['select 1', 'select 1', 'the way to the server and back']],
  locks: [
    ['acquire', 'update by primary key', 'a free key in use before'],
    ['acquire new', 'insert', 'a key nobody ever took'],
    ['acquire held', 'select by primary key', 'a key that somebody else holds'],
    ['acquire + release', 'two updates by primary key', 'a free key'],
    ['hot lock', 'two updates by primary key', 'one key that all callers take in turn, trying at once again'],
    ['release', 'update by primary key', 'a held lock'],
    ['extend', 'update by primary key', 'a held lock'],
    ['isValid', 'select by primary key', 'a held lock'],
  ],
  circuits: [
    ['getState', 'select by primary key', 'a closed circuit'],
    ['recordFailure', 'update by primary key', 'a closed circuit'],
    ['recordFailure hot', 'update by primary key', 'one circuit that all callers count on'],
    ['recordSuccess', 'update by primary key that changes nothing', 'a clean circuit'],
  ],
  cache: [
    ['get', 'select by primary key', 'a value that is there'],
    ['has', 'select by primary key', 'a value that is there'],
    ['set', 'upsert', 'a key that has a value'],
    ['set new', 'insert', 'a key that has none'],
    ['delete', 'delete by primary key', 'a value that is there'],
    ['getMany', 'select of 100 by primary key', '100 values that are there'],
    ['setMany', 'upsert of 100', '100 keys that have a value'],
    ['getOrSet', 'select by primary key', 'a value that is there'],
  ],
  checkpoints: [
    ['save', 'insert', 'a new checkpoint of 1 KB'],
    ['load', 'select by primary key', 'a checkpoint of 1 KB'],
    ['loadLatest', 'select of one by the index', 'a task with 20 checkpoints of 1 KB'],
    ['cleanup', 'one delete by the index', '10 of 20 checkpoints to be deleted'],
  ],
  idempotency: [
    ['record get', 'select by primary key', 'an outcome that is there'],
    ['record set', 'upsert', 'a key that has an outcome'],
    ['execute', 'insert', 'a key nobody ever used'],
    ['execute again', 'select by primary key', 'a key whose outcome is stored'],
  ],
} as const

export type OperationName = (typeof byProvider)[Provider][number][0]

/** Everything that is measured, in the order of the report. */
export const operations: readonly Operation[] = (Object.keys(byProvider) as Provider[]).flatMap((provider) =>
  byProvider[provider].map(([name, floor, situation]) => ({ name, provider, floor, situation })),
)

/** The operations that users ask about first. */
export const headlines: readonly OperationName[] = [
  'get',
  'set',
  'acquire',
  'release',
  'recordFailure',
  'save',
  'loadLatest',
]

/** What both this package and others do. */
export const comparisons: readonly OperationName[] = [
  'acquire + release',
  'hot lock',
  'recordFailure',
  'recordFailure hot',
  'get',
  'set',
  'save',
  'loadLatest',
]
