package corpus

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
)

// heldRecorded are files that CPython 3.11 and networkx 3.6 wrote themselves:
// pickles of values whose __reduce__ is unusual, and data files of the standard
// library. They are gzipped and in base64; the script was
// pickle.dumps(value, protocol) for each.
func heldRecorded() []Case {
	s := heldCase("recorded-cpython")
	for _, r := range [][4]string{
		{"zoneinfo", "meta.pkl", "a time with its zone",
			"H4sIAAAAAAACA2tgmdrLAAG1UzR6mEqqpvRwJJVm5pRk5hVP6WFPTy1JLCkpmjIZKFyVn5eamZeWD2RGAZmeICZQnDO+NK8gMzk7J3VK25SgKT3crqVF+QWp+kH5ualTvBnBYkyJJUBdKYklqSWZQFEk5uQpzlzsL9j4IW6YksELUl+qBwDW/4ykmAAAAA=="},
		{"regular-expressions", "tokenizer.pkl", "compiled regular expressions of a tokenizer",
			"H4sIAAAAAAACA2tgmRrLAAG1UzR6WIsLcjJLpvQwFaVO6eGIT87PLcjMSZ0yeUqPqHpxjXpJjYJ9TLl2TUyxtoa9Ykyw5hRvpbYpQVN6mEuLcqZksDjzZ5SUFBTbW+nrR8fFFMdqT/FmAMmX6gEAu0S1DWgAAAA="},
		{"random-state", "rng.pkl", "random.getstate() in a checkpoint",
			"H4sIAAAAAAACAx1XeSDXyxcdMahQL0vJUiG8l+T1WqSoZL1CiShRShLZQlmytUgTRSipaBHyKpVISSkiUbYopAgpW5ukh/zu/P46zHeWO3fuOed+wgVDfIi6nTAhxDvQz9XL00fATFCdUfw/nDB6z6wskoDtt5p/GJ3fXVuBQ8N/Lr5K4JCa6UJIE/pXD9Lvii0H6ao5JvC49vVSRl9vkEvHaXlzo94iWEYfTyAgdrLzL0YN+koPEegW/eUOSQYPVUDX7F9/qKvydQXi2LWc0bWpnikE8k9vkmF0Zm1XJS7vFur6RODtqmJhSGdidnB9rMYSst/q/MmosLtfLM6YW2g6hGAzqpHCT81U/UlAdHBfCKMqth/6CaTtdt7A6OCyNB5N6/c91wl0muz0BQ25qmBGD14QvILjriq59wlUya9UhyLpGEsoT6xUAZcqB2tIVfTXY/S7WNcggfmvP+kwKjBuD96iTFdUB0S1Z69g9KRqBW6aumDabkZv1Yydw/2MmUw8gbArmxcyOinvryMEvr36agInip0WQoKaowLI25grMvqH5fNWnL3o9vcBhJDUy+cRetLmlCJEacgcIJBUHq0LNf05m2GP6ilDSJwc6A/B329KM/rmSfozAubuatbgqDjbnNF881NXCFzVb8arC5icy8M90tf9+org23vmE4Le2roXBGZdFPYEkaAmfA+X7NpzBPZezLZiNEcu6ifOKS45/46HsvRpLYGBjo+a0D+aNZ5R8RcNpwloD4yIM8p0XnUQGJPp1IBtww6TGZU3VOeXnj40nEzA0dFMjtG4wKmpBG7ISRjDne013jCWO7qL0dCdobk4kbVr3keYZPW+i8CnF7MCwOKj2t+M3q48VkDgTrGpG6PWVbcx2Dl+xZqgtG2VBKx3y1+LGywQxriuiAdMAuj8vQKE7gW4M1ohcms/7jdVWfAxguxjqbMEfk1uEQT3pBAPUN4dtRqG2hzXwcuF0tMYldw2chqn7dGz+4/A0YXvHSB8qESM0f9OzSnAce8dP74SGH5QHsTo8QXBz3HoyGnrbAK9J4IMGXVXta8goJgoGMDoL2Xajz9r+KRgUMqWTpinmPIYXrbz3J8kIExsdDuI8Fkv6xGBqActzoxK+VRgdEIK4Rtgi1rGbEZFjjpzoum03+enC8tm8IVUo3c/gZ+/d0hCXoNjGAwt1VzJ6LHHqfX4o4K4Ea/lHW7K1whM29G7EozaG/HscunUp/y1+2V/IBTe3vIM4d1e5d8Ij/adv4PwvLulksDFJ00zIbmtYD2jAWdkO3Dcum/yL7xCwQNXGL34xAI0805jeV4VffCQwHjrUTfo6ohdjJd3vHKYP/Tt+68Q7lsEjyCMtaXyyEemjiQhTDteOURA1c05GA6s/SsErPJ+oJo0dba+IbCoZ8wZQqcWrUE+xo48wdmduWnhBJrymr3gxscwZ5jZ2KGA+3tvQRLPPDJ3J6NeElJ5BAyCH+Ai7yavbgKuVqpYc+MbHfH2f7ro6kKHdOoO+BY8RQZsW5IVAPa+0GK0vV8C53ql9OLprep9cXjYVom2WwSEn//Amzw7E9qGQ5Is/DUCeeh+C2G3dmoPATMlM3lGnafrXSBw/vXcAPAaifcH2/drV0JjVpsLo4rLB7EcZr81CUSGVXrcwJXBSn38OmXXxVMRligf5FwaL747CqE+fCJ/FsMjTzglCxrc+YKCFQmcMhl6iVy1rr5MOolpmLJZDKwEH66APIHbmIbAFQz5dGm9khxEbD7lCXBTbAlsKgpArqtqe+B7Ra8JUWXUabS7GPdQC5iQzMt68s0YAid+r/UF47cZBoxq+zvcxF2Slk0Akas2OH9Q+9t71C+Vr0HwpWRxEFxe0KwC9evSNcFq0iMHRkXvu/9LoMLi/CxoEHqNqRwWnN2KHlBdKAeyEoLCEKQlbMboBrGl/D7Rqib8dg0b1Pnr26SHZiDY937v5HX/JfIjV7Kz344SMKzPMYXgSCYDQaadylByydQSqnpTdIB6ORvBamCopEUlelEETPtFtjFaq2SMKrN2YaknJMXdCgPRizESjMKy0ke4pZ2BLD5lj4mZIMTLHEUqatgwXu3y7wKbCRS5/qUP6yboaTAar3z3M4HCvGwfGHqhNAX5d2GUE/Rzus0ZAuIGQ74waCkvC0ciykQY3RtuzPX4k9SHboRctzf/Ipy+8Ac+TseXSElGu1zzOVldPD7UE1hXsWQnGOfOQBqtL+waQ/8w7Q+AXI38TehKhi/Re2pa41C0tIdeXiLQZ6sgBTU/wyZC8G93TziweI8nRI/F74GEClMLaNfM10QDvCDbhuKSK6gB3Wn5WIWqM7IfE7D5pGAH1UfsnaDlbccUqNl6WZhRiQk+TwnQ2Em+oCczawqU2WquAEUzCydGpWuNGjBK7fQTwwQm6kehLzk+Sh7kSjbbuRdh/1Tphwh3LkdWox+POk0FUTNDFCePitd41ZCap+OQ1sInUdUqIr5MgfpYW8xc3HZ9ris59cs+IIgIZ9YgGCQGYn4ljU+YQr9SuBg4Gamow4CEzFxwDgtRhdhL9dNgVKVzI8pye+MHAtmSLQ5wwqNtBsSWZi+Dk1t17RlNfZGQj9dWE/BCQfLvxdQGCDsoI6t6M5vxjLob4u8Jz30cZ9WuexmYzbisEjss9utfsF6eR22xZDR7Jbdch3OVAlgNIozT0S2mgutU3Ktr33ilbmhtIPAo+s5kuPTm6mZoCVqIHij4xhB1wvedPWrKdJ3H3J5kDS/fRmg/twujuimjtwdqNyZgxae4BqOnlRhaiMICQ2VbRpWmzK3GiSf0plxHkI4Q5MuEfeuLOB3vFR3jDixGziLEjwhl4lOsGUb+5SV5p+GQ57JmJGrKuqB9jF7waMS3dNFXcILYG3kGEBX8VAicPrtbw8ClEgeIDNi8itGfg4VcxTKzRI4R2D7d3JXRXoXzWO4fcsZbwEypcaboj4cajuMc9Vct8QgV1WlI3I8/5wWCtUyXEYzLmjMRtpbkod0nDHk38dSOH8hBCBe/9hrPNzeaCAGfz6MTd4RalXHzMNmMsm0v6OIAdM00dNp36V+zcfx7+ykeiu88XWx8ZH4nGUG/eXwIqBlMRtNMmNM8zDuJ3b+wYwhK9NMHWYUBP9gbdF0LSg/JYWnVJZYxnHHsWwjvJ1vPG9ZyDfQdOoSwtOEapkJbyGY1eFTlbmX0x8aZnPEbcryQUDeiqBEssh7SgfYTelvgmYn4Pogor9OFpyKyW6FU594yTEp3KDrs2f0t6NYqEeW8R6ydPYqSppV/BtN/d/0tNONqI5vxoBk6ZANyuRtRx3XblTGT5Yk9oWCtO2zG/eXsWwLv+koNwWpI0oTRxWuKse37ci1ACro8zoRC6kjmDlj9pBp71SOLjMsIHG7JMoU4sXxsgYd+n+YNzmb/BZwxjmp2iQir5mtiK71BXlMbFL4+mgGK5otnYTXUrcFRWYFilL8wzekjmM/CKhSQm8/y8O9Yq5ML4WbjJV90r8LMQrR7rSx/RrdFRH1Hc5vxBtUl2jKJpy/2gwL2zm/rvq0C0cIuHGiblxmDIJecPoBNlmgGvozWoAZWdPBiNUVwapPfgQ+YFM8JJg4pfIs6s5/Y2NcZmPrDqSe7XGDgzCkk4camiHv44x/HZnJJv7j+MC+YvsjQg+ghQdFYl43DJlwQVtmf4wpzc0Y6J0NYjd0DbnPGjtwBPtqp8z3+vnYOuR1dkbQSKl2M8fIJzUL84J4fauVILOcbWyBePAk/BGSP7uPioh59h7evZw9O4E5TrP5PD0LRirtc3IqckHTQ1Oe4AK5ENGGbrbTvaB2BCTkFuyBXTFIdAkTztkJBo4wxo2dcu/DcFSe/aoHlJr95MGi7CAthvuk03i7aZu/DcknRmrgXTkvGmMCPeYAZvmBOsBXNOfCfBejO0ZqKOtG2NBNnLz+yjhu2vXxrGgHrQElXqK6djIQpH5Diob7U0OMt/ILrArwlejk2UIdQ4+mGqiqnN2sCpifjYwRXpo/3+TYW2/7jAlJppX8clWb4XgDE2hbrw4FJcfoQWXzLGAweHJSFNL0fqPfvwky5KZlfVMXyVdI32w5ZM3bNBckCA0VY0qiDxT4p5hQn/z02k3eJ0/YG8UYjT/H/DWVyt0QjfwHbP/oQDj/P5xV5UGobBlaY1oR2+2qTH++hkzJ8sTk43NOzEcKTQ2ThSmSpI6PV2iX8G2u49gJXhT/9kpEatu/GVsOsgH3LQKXyOkrD/DsH0LsE9q7/Byw/f8eAv2hJYa+p6J1oD+s6Y13BrinTGIjO1j0gmLITXcrneTMX6WPSZTwkLf2paFaHZKVMYOPGGVvwq+rBYBwx9x7n5zPO4rCPoJ0QfpH6bt/u7CNkJuKv+T+VicNQtw4AAA=="},
		{"array", "series.pkl", "array.array of the standard library",
			"H4sIAAAAAAACAwFQAq/9gAWVRQIAAAAAAACMBWFycmF5lIwUX2FycmF5X3JlY29uc3RydWN0b3KUk5QojAVhcnJheZSMBWFycmF5lJOUjAFklEsQQgACAABuOpUPrbnUP3AyUZYGT8M//3ExiHTU5D8A4Uc6L4uyP6BjYATyJeE/woypfHJn1z9glzj6CLKtP9fZ29zpPOA/0CiAhaEyoz+kaljT2cDbP+CCs4cL4rE/2C2i0fc4tz/sDnmIUivbP0sGQ5aSdeo/CIJRPnyxvz8wCxcqGJPMPyP9VNbuE+Q/w1g/tKFT7j8rmFeaoHfiPxSPZYA2Y9k/RmPiWHs97z/AZaBjr9mnP/peiNiSeOs/kmVaY/WI0j88pqZY83bCP8jsRNKhJ74/Kmh7jCq+0z/qXroGtR3qP7wdpsEKIsc/zelI8nec4j9DYcCo+nHkP66Jx4Bc1dc/kDPZZh+H4T8YTg8y8BKwP2DanWcLhK4/UFDx59pcyj9FeyAq1sXlP7jDNx6sXds/eI25u/wa1D+emrE77LziP0qF5Ar5AN0/Esf86WEv0z/GFLiEjmvpP6iLHpMpXuY/MEdP8Y0+zz+BdDPVrWHiP8j/+uVozuA/F7hfWSAB7D8wm8ulnVfnP+Yl34SSbdI/K/VKpJdd7z/wwGEQjzm+P6bXUTmGwto/4ENenX866D+8rO6uOnTDP2KjX+MrS98/cLiRPfkSpD++e084BmLlPzV4O1Jdd+g/TQgofzpW4j9r/kUL6gPsPxKSuHJwFNQ/KZVmEdw/5j9RmPz5EwXjP5R0lFKULplNBWZQAgAA"},
		{"ipaddress-uuid-decimal", "row.pkl", "values of a table",
			"H4sIAAAAAAACA2tgii1k0EjOLEhMSSlKLS7m8gwoM3GEsgsZvRgZGLhaC5mCCpmTS0szU7hCQz1duApZNBsLWWsL2SKYGRgYMvNKCtm9WYuTklNSkzNzE3O4XKB0IUcEC1CBoZ6hQSFnayFXUCF3clpRYnJJZn5eMZcblMVVyOPN6M3cVsgbVMiXqgcAuX60iZIAAAA="},
		{"itemgetter-in-defaultdict", "rank.pkl", "sort keys: itemgetter and attrgetter of plain names",
			"H4sIAAAAAAACA1WNsQoCQQxEPVzh0B+x8kfs7C3W3SjBaCSbLSwEG7t0xs6P9dYDwelm5g1zD6/3ZNTNlzY9wtWt5wtIVBa3OSqcDqAK4k9fdw/fuIWoKv9YS36YzUpiAf/CXXZbJCaCpMjnMrgM+1hJMyZtdL+rSIqtCoSlZeMy+na4jKWuPmaMDbanAAAA"},
		{"http-status-enum", "log.pkl", "members of enums",
			"H4sIAAAAAAACA2tgmerNAAG1UzR62IpLEktKi6f0sGSUlBRM6eHyCAkJCIaITZ7ifaJ1StCUHta0nMR0oBqmotQpPZxBqempFW5AEZACLpCCUj0AMaHDnVYAAAA="},
		{"namespace-hyperparameters", "args.bin", "hyper-parameters with words that are also names of functions",
			"H4sIAAAAAAACAx2OSQrCQBBFY+KQtNM1oosoegCXLgQJglC7UCaNCWTo6u5IshD0ON7S0lX99/h86uWmqO8KtZHijJU0ClMpyFm9afAkNwTXcZxSk3c87D/r7XWHINjIB5aJsVIZGp4yCH6qk2lS8wSNwGe2Gos6Uj2NYcxoeq5XNIHRD8pWV+SDx7lpLQWpQpuXxU3ErZZxY4ouZiFIhDDgzoamMOSboUWa/X9qDM3ziaXFhZbtLfoCs3wsV8gAAAA="},
		{"counter-chainmap-userdict", "vocab.pkl", "Counter, ChainMap and UserDict",
			"H4sIAAAAAAACA0WNPQoCMRCFzRJWwYto4yXWbrERLC2SOLCBzQ+ZLKyFoIVdOscreE4nWPia+WDex7vL92fxy5k2ZW3COILJNniksuzC5DMketGNn611MaRMvShNwHpavGIGV1HCDIZhetKRBlFW3aCsP6jI8vbBfpFORSReYRaKq1hBU98goK7KCSHtrcl/5aKyqiDm2kcNuy+FuF8PsQAAAA=="},
		{"struct-time-and-timedelta", "t.pkl", "times in protocol 0",
			"H4sIAAAAAAACA11Py2rDMBAkp8B8iU5FK8dx8gUhh15CMb0ZISsh4MdSby794n5Gd20HQmARo9E8Vq5jjyT3PmOSn0eSZsZMcO5Mx8rjTPP45xTrVTjAtVyglr75HQc17VCfPr/AJSYjb72M1yt4b/JJuMKFD4ipjZLnFjva3EkEH+EstlySyauU6F27tJD23kyvy1TB+9VSmEU3+FZFacTeiOo1w4C+HuBSk8Y2pwl5MKCkBtbbv80GHDzqLsp9IMVk/wyaFApDO0Ml4sc/d3zfdTgBAAA="},
		{"exceptions", "errors.pkl", "exceptions that a grid search kept",
			"H4sIAAAAAAACA2tgmRrLAAGxUzR6OJJKM3NKMvOKp/RwhSXmlKa6FhXlF02ZPKWHMykxRaE4I7EgdUrrlKApGYw9HN6plXBpxnKYMG9wSX6BZ0lqUWJJZn4eUE4zaEqqHgDXUr5MaAAAAA=="},
		{"recursive", "graph.pkl", "a list that holds itself",
			"H4sIAAAAAAACA2tgmcrJAAGxUzS8GTMYUvUA73x8PhQAAAA="},
		{"networkx-digraph", "graph.gpickle", "a graph of networkx 3",
			"H4sIAAAAAAACA2VPSwrCQAy11s+qCEVBPIFuegURBBfdux2mM4PTKm1prNVFQffZGe/nUZxpqQgGEsLLe8nLffCaOb0mcJ6qc5UVx2sgThxAQSDjQ8FzTTjexrume9LqQTUtcdhOasIhSzOpLBg6NYV9k25NJQ4Yl8kvjE5Fu/W7vQbQMcEWy4HS7IJSCNKe6fJCya/c1dNW4OhJK+hr3wh8xjrXTHChFWPWk2tP4+LvIZEV6hKrCgi9jUy4UKm47Q3QPYYjxs+GbCxAVEbBB+mnOsogAQAA"},
		{"partial-of-a-builtin", "defaults.pkl", "partials of arithmetic functions",
			"H4sIAAAAAAACA2tgmVrBAAG1UzR6WIvyS/NSpvRwppXmJZfk5+cUT+lhL0gsKslMzJkyeUoPR1JpZk5JZh5QGKp08pTWKUFTNDLYNWuBSvNSMtMzS4qneDMV+5VMSephLsgvn5LBksEKYcEU83sztU6pnQJSUqoHAFNdj9KDAAAA"},
		{"simple-namespace", "cfg.pkl", "SimpleNamespace",
			"H4sIAAAAAAACA2tgnerDAAE9rCWVBanFU3r4gzNzC3JS/RJzU4sLEpNTp0yeohk0pXaKRg9rbn5Kas6UHuayzJIpPWw5iZWpRcVTvHl6WPKAiqf0sKSWJeZMKU3SAwAdy8r1VwAAAA=="},
		{"bytes-and-bytearrays", "blob.pkl", "bytes that look like a pickle and like a zip",
			"H4sIAAAAAAACA2tgnarNAAG1UzR6GJOmOPM2sCTnF3MVVxaXpOZyTelhTJwyjQWqJsCbmWVKqR4AHPXnITYAAAA="},
		{"strings-that-look-like-code", "prompts.pkl", "a data set of prompts about code",
			"H4sIAAAAAAACA2tgmVrHAAGxUzR6pDJzC/KLShTyi62BWK+4srgkNVdDPadYXXNKj0B8PEQ6Pl5DPR8sJFhdrVChFx+fnJNYXBwfr1BbO6VHPDm/mAuik0sjWL2kqDRVnaskSG9KD29qWWKORmZeQWmJhiZQN4dNcXJRZkGJ3ZRUPQBTtsWOiQAAAA=="},
		{"big-ints", "n.pkl", "large integers, LONG1",
			"H4sIAAAAAAACA5WVR1IDMRBF2y6CySZnGLJJJl3Aa7s4AksOwA201qk4CkdgycKFeSYMnhmF1iw0rf5fUv8/NS1Tf3qRVq/WM4/S6YpkwiBNO84oDTsxfMmYnfx+S902fgKp2anfyEgeSsdO/4WS2Zk8ZsPZ/wn7zo3M2H5+dMopC4U5hzWLCc4sZTh6sZShgqVyikKWKznqWakmKWvVkaW6NVeaItedeWp1A5S84QaofNODIGDLB6Fj24shZ8cPomo3gCJuLwSjMYgjdT+IozgLExB+EGGg/zBGwYajKAc3juMkTDlRsPBGQ8OiUw0Np85UPAxr6Yj4dq5kYt+FloqLl2ouZl7pyXiawMba6wQ2DrdT6Bh9k8TH79u0Bdh+l7gC9+9Tl/ARHpLXGOkOeIbXhsmvh9dCv3+rdOt3Z8f98DbEfrB5fUabx0Dz15vn9he9VFrdDwcAAA=="},
		{"protocol-1", "old.pkl", "protocol 1",
			"H4sIAAAAAAACA6stZNCIYGRgYEgsZIwtZNLwZnR3YGEAAz9PA0MuiGRFIXNJIUtqBBOQfXhlIWtyfHxSaWZOSWZefDxXcWoJVyGbRmwhO1C3N1NqSSFHUCFnqR4AvWlDPVsAAAA="},
		{"deep", "tree.pkl", "a tree 150 levels deep",
			"H4sIAAAAAAACA2tgmRrMygAGtVM0elhyUtNKpgBZGYyjxCgx3Am/HtaizPSMkil+pRnTR/Eopi7WAwAxaALwXgUAAA=="},
		{"slices-ranges-complex", "idx.pkl", "slice, range, complex, Ellipsis",
			"H4sIAAAAAAACA2tgmTqJAQJip2j0cCSVZuaUZOYVT+lhLc7JTE6dMnmKN4M3qzdT+5SgKRmMPaxFiXnpUFFmb0aoKHtyfm5BTmoFUNwdahqDu/0HCKMNoobDNScns6A4sxioCMjl88sv8QRpyk3NK0lNgQiylFQWgAz3awXqSdUDAMqlj7qdAAAA"},
		{"types-as-values", "schema.pkl", "a schema of built-in types",
			"H4sIAAAAAAACAyXMywmAMBAEUL8g2Ignq/BuDeaHC4sLSbwIggXszbVfSTK3xzDzdN9Vldwycb0JD+oEjHAE4RaOKK9wrWRvuA3RZ+mk3iFtpTXJHUIotJmKCDOd8KgJ0eoIlF7H1RvrrVlAp8E5/9dJcruFAAAA"},
		{"methods-of-types", "norm.pkl", "a method of str and built-in functions",
			"H4sIAAAAAAACA2tgmRrHAAG1UzR6GNOm9HAklWbmlGTmFU/pYU9PLUksKSmaMhlFmLkYIsSak1+eWjSlbUrQlB7G9CkZTD3MOal5IBnGDBCPrTi/qCQ1BShQqgcA79CoUWkAAAA="},
		{"four-in-one-file", "history.pkl", "four pickles one after another",
			"H4sIAAAAAAACA2tgmcrLAAG1U3pYiktSC6Z4MxTrNWATZ8QhzoRDnLlYDwBAexLpYAAAAA=="},
		{"sqlite", "mlflow.db", "an SQLite data base of experiments",
			"H4sIAAAAAAACA+3Xz0sUYRjA8ZlN2zXnfd/H3HXN/DGamaapWYfCQ+3GGoWXyrCgiE3H2lq11jE0DQoWiQ4FVlZmqWWthVgaFYqBG0UKHSyqQ4cwKOjQQSIEPUSz29szEER/QO+Xdw77YXdm3uc97Y5t5T5dU2vqA7VeXV0jgSTL0kZVlSTJwq/fycYV88fnf2WRCqtkEvkyC0nGEolEIpFIJBKJRCKRSPT3KmWr0+GQTyXo3v1+LdBY1xC5LJu2e1wVHrXC5S73qBHJ9VWrvjpdO6AF1CMBX6030Kwe1poL1FpND/iqVF1r0gvUY15/o6YGNK8/L/LfvEQJSmyWfWKv2TgbZF3sDGtiNayCuVkxS2cKnadf6Dv6jA7THnqWttJDdBcto2tpFgXyg3wl78kEeUT6SDs5SerIHrKVrCM5xE4syozyQXmpjCr9SofxEJFIJBKJRCKRSPTfByUxksPqr29o2HDh+MfNg/YWWG3K5+lQUex6KEa5uDMaFJkyeTr/PFRCIUqHe2J3fGY1rDIl7E8K+51QgHLJ80rf6yyDfFOm9rlOxH6HlSiXvW3JxoI8U+bC57qS5yEX5Uq0TliB0unqSzEW5JjyrW2s914uLEe5OjBnD49OQTZK19EXqcaCZSjXXG/SjAVZKNfTo0EmSrc1PNOaYQMVpYdPNcOUYKbNDUFIR+lNiAZppoRGvCktHZCKcmNLdruxYKkps8EnvUUHIQXl5lBp4lCpHZag9PETTEa5xc/LiXKbn04SSoifhQOln0/ejnKHzzkR5S6f6mKUAT7DBJRBPjFAuc/nw1CG+DQoyjDfO0F5wHeqoDzk+4pHecx3sQhlhL9zHMoYf0Mbyjh/HyvKU/70hSjP+bNiUSb5nWNQpvh9FqC85b+yoEz/+o5NNiQuIj8B1oPt+wAgAAA="},
		{"wave", "speech.wav", "a sound of the module wave",
			"H4sIAAAAAAACAwvydHNzYWZgCHcMc03LLVEQYGBgYARCB3kGhgY7BgYmBgGGlMSSRAWgmgMPAh49eFzwlOH5hBcKrza8dnh74V3Ch48fGz4LfF3wzeDHwZ8Bvx/+KfjHwDCBUYF5PYs92wX2BM4PXPU8/HwL+A0EDwj5izwQLRBnkJwgJS+zQXbUvFHzhpN5AEuGRgZMAwAA"},
		{"binary-plist", "Info.plist", "a binary property list",
			"H4sIAAAAAAACA0sqyMksLjEwuMzIxMzCyhYvIOTs5lSal5KT6pmSmleSmZaZWhTu6+Obn5KaE5gXLyCYnJ+rl1qRmFuQk6oHFuVczM7BKcAowCTAzMGvoqPn5Ozu6c0ABoyMEJqBiwEV+AIA5dozlHcAAAA="},
		{"xml-plist", "Info.plist", "a property list, whose DOCTYPE has a public identifier",
			"H4sIAAAAAAACA1WOy07DMBBF1+QrjPfxlB2qXFfkJUVKSySSBcsqHqiFY1uOIenf1yFs2N5755zhx2XU5Af9pKw50Ce2owTNYKUynwfad1X6TI8i4Y/Fa969tyVxWk2BtH3W1DmhKcCLcxoBiq4gbVO/dSQyAMozJfQagtsDzPPMLuuKDXZchxO03jr04dZEWBoPmAySRs1G//dOTKUagkge+BfeRF5l30ZqrCWaoD4Ueg5rHusp+Pi1iBKGy2VchScrUXP4axIOG4rDr0gkd4XQxob/AAAA"},
		{"zipfile-bzip2", "data.zip", "a zip whose members are bzip2",
			"H4sIAAAAAAACAwvwZmbRY2Bg4GFw4jgfIVn47YolkDeBkYGBFUgn6iUXlzlFZVgaOkaqBUfO4laIZGBYd6OBQYCBxYCBIUGBQWGps8IBUzGlI1Hdgll6So/0u3cqzdHw8GWdoNMQgNNsdiCdpJ9MoemMTHrMuN0OAw2MDDCf4NPCjqIlBuHAAG9WNpAgExBmAOldYCUAgz1+RDgBAAA="},
		{"zipfile-lzma", "data.zip", "a zip whose member is LZMA",
			"H4sIAAAAAAACAwvwZmaxZ2Bi4GNw4jgfIVn47YoCAwPDBEYGBlYgnaiXXFzGycLKEMvA0MDAYMPNrbCs5NJajg/MS0O9vLr//78lzsAQ4M3IZM+M2xAYaGBkgBkZ4M3KBuIwAqExkHYGKwAA52MnXowAAAA="},
		{"tarfile-pax-symlink", "data.tar", "a tar with long and foreign names and a symlink that stays inside",
			"H4sIAAAAAAACA+3WTQrCMBQE4Kw9RU+Q5iWxXYkuXXqFQIMi/tFGqIhn8RZeoBczVkFFRFykFTvfpqEUsnidSXjM49HElGNrMpuzIMTVu6cQiu7ry3sSUqQsKlkDtoUzud+edZPsRxvjZoPMOBNP8+pUHS13pesx6ILb3IfDeurh8p9o/T7/fk06UUqRFkmdf00+/wL5D47/QP9L0i/9TxL93wSfuIcDoGwJnxfrFY6ctvo/8HQ/97987n/VJ/R/M/YHZKDz+bfLjduF2+Pr+59I00Qj/43Nf2GcLVyr83++/xH5zyMZ+L/E/AEAAAAAAAAAAADgX50B/byA4wAoAAA="},
	} {
		s.add(r[0], r[1], heldUnpack(r[3]), "CPython 3.11 wrote "+r[2])
	}
	return s.cases
}

// heldUnpack reads what the recorder packed.
func heldUnpack(packed string) string {
	raw, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		panic("corpus: recorded: " + err.Error())
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		panic("corpus: recorded: " + err.Error())
	}
	data, err := io.ReadAll(z)
	if err != nil {
		panic("corpus: recorded: " + err.Error())
	}
	return string(data)
}
