// What this service is for.

import { get } from 'clinic:patient/patients@0.1.0';

/** The letter to a patient; throws what the patients' function throws. */
export function invitation(patientId) {
  const patient = get(patientId);
  return { patientId: patient.id, text: `Dear ${patient.name}, please call us to arrange a visit.` };
}
