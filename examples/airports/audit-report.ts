import Table from 'cli-table3'
import colours from 'picocolors'
import type { AuditReport } from './audit.js'
import type { Counts, Crash } from './crew.js'

/** What happened on the way to the outcome that was audited. */
export interface History {
  readonly crashes: readonly Crash[]
  readonly suspensions: number
  readonly counts: Counts
  readonly failures: readonly string[]
}

/** The audit as people read it. */
export function describeAudit(report: AuditReport, { crashes, suspensions, counts, failures }: History): string {
  const table = new Table({
    head: ['audit', 'one process', 'workers', ''],
    colAligns: ['left', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  })
  for (const { name, expected, found } of report.figures) {
    const verdict = expected === found ? colours.green('equal') : colours.red('different')
    table.push([name, expected.toLocaleString('en'), found.toLocaleString('en'), verdict])
  }
  const places = crashes.map(({ worker, after }) => `${worker} after "${after}"`)
  return [
    table.toString(),
    `${crashes.length} crashes survived${places.length > 0 ? `: worker ${places.join(', ')}` : ''}`,
    `Suspended until their lock expired: ${suspensions}. Late writes refused by the fencing token: ${counts.refused}.`,
    `Batches met again, and not applied again: ${counts.repeatedByRecord} known by the idempotency record, ` +
      `${counts.repeatedByTable} by the table of applied batches.`,
    `${report.duplicated.length} duplicates${some(report.duplicated)}, ${report.lost.length} lost${some(report.lost)}, ` +
      `${report.altered.length} altered${some(report.altered)}, ` +
      `${report.miscounted.length} airports miscounted${some(report.miscounted)}`,
    ...failures.map((failure) => colours.red(failure)),
    report.isClean && failures.length === 0
      ? colours.green('Every row was applied exactly once.')
      : colours.red('The import is not what it should be.'),
  ].join('\n')
}

function some(items: readonly (string | number)[]): string {
  return items.length === 0 ? '' : ` (${items.slice(0, 5).join(', ')}${items.length > 5 ? ' …' : ''})`
}
