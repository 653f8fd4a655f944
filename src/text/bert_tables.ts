// Lists what Hugging Face's BERT tokenizer knows of Unicode, and where llama.cpp's differs. Code points are hexadecimal.
// Made by tests/fixtures/make/bert_tables.py of tokenizers 0.22.2 and the pinned llama.cpp: do not edit.

/** Dropped: control and format characters, private use. */
export const DROPPED: string = `
0-8 b-c e-1f 7f-9f ad 600-605 61c 6dd 70f 180e 200b-200f 202a-202e 2060-2064 2066-206f e000-f8ff feff fff9-fffb fffd
110bd 1bca0-1bca3 1d173-1d17a e0001 e0020-e007f f0000-ffffd 100000-10fffd
`;

/** White space. */
export const SPACES: string = `
9-a d 20 a0 1680 2000-200a 2028-2029 202f 205f 3000
`;

/** Words by themselves: punctuation, ASCII symbols, ideographs. */
export const ALONE: string = `
21-2f 3a-40 5b-60 7b-7e a1 a7 ab b6-b7 bb bf 37e 387 55a-55f 589-58a 5be 5c0 5c3 5c6 5f3-5f4 609-60a 60c-60d 61b
61e-61f 66a-66d 6d4 700-70d 7f7-7f9 830-83e 85e 964-965 970 af0 df4 e4f e5a-e5b f04-f12 f14 f3a-f3d f85 fd0-fd4
fd9-fda 104a-104f 10fb 1360-1368 1400 166d-166e 169b-169c 16eb-16ed 1735-1736 17d4-17d6 17d8-17da 1800-180a 1944-1945
1a1e-1a1f 1aa0-1aa6 1aa8-1aad 1b5a-1b60 1bfc-1bff 1c3b-1c3f 1c7e-1c7f 1cc0-1cc7 1cd3 2010-2027 2030-2043 2045-2051
2053-205e 207d-207e 208d-208e 2308-230b 2329-232a 2768-2775 27c5-27c6 27e6-27ef 2983-2998 29d8-29db 29fc-29fd
2cf9-2cfc 2cfe-2cff 2d70 2e00-2e2e 2e30-2e42 3001-3003 3008-3011 3014-301f 3030 303d 30a0 30fb 3400-4dbf 4e00-9fff
a4fe-a4ff a60d-a60f a673 a67e a6f2-a6f7 a874-a877 a8ce-a8cf a8f8-a8fa a8fc a92e-a92f a95f a9c1-a9cd a9de-a9df
aa5c-aa5f aade-aadf aaf0-aaf1 abeb f900-faff fd3e-fd3f fe10-fe19 fe30-fe52 fe54-fe61 fe63 fe68 fe6a-fe6b ff01-ff03
ff05-ff0a ff0c-ff0f ff1a-ff1b ff1f-ff20 ff3b-ff3d ff3f ff5b ff5d ff5f-ff65 10100-10102 1039f 103d0 1056f 10857 1091f
1093f 10a50-10a58 10a7f 10af0-10af6 10b39-10b3f 10b99-10b9c 11047-1104d 110bb-110bc 110be-110c1 11140-11143
11174-11175 111c5-111c9 111cd 111db 111dd-111df 11238-1123d 112a9 114c6 115c1-115d7 11641-11643 1173c-1173e
12470-12474 16a6e-16a6f 16af5 16b37-16b3b 16b44 1bc9f 1da87-1da8b 20000-2a6df 2a700-2b81f 2b920-2ceaf 2f800-2fa1f
`;

/** Nonspacing marks, but for the next. */
export const MARKS: string = `
300-34e 350-36f 483-487 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 610-61a 64b-65f 670 6d6-6dc 6df-6e4 6e7-6e8 6ea-6ed 711
730-74a 7eb-7f3 816-819 81b-823 825-827 829-82d 859-85b 8e3-8ff 93c 94d 951-954 9bc 9cd a3c a4d abc acd b3c b4d bcd
c4d c55-c56 cbc ccd d4d dca e38-e3a e48-e4b eb8-eb9 ec8-ecb f18-f19 f35 f37 f39 f71-f75 f7a-f7d f80-f84 f86-f87 fc6
1037 1039-103a 108d 135d-135f 1714 1734 17d2 17dd 18a9 1939-193b 1a17-1a18 1a60 1a75-1a7c 1a7f 1ab0-1abd 1b34
1b6b-1b73 1bab 1be6 1c37 1cd0-1cd2 1cd4-1ce0 1ce2-1ce8 1ced 1cf4 1cf8-1cf9 1dc0-1df5 1dfc-1dff 20d0-20dc 20e1
20e5-20f0 2cef-2cf1 2d7f 2de0-2dff 302a-302d 3099-309a a66f a674-a67d a69e-a69f a6f0-a6f1 a806 a8c4 a8e0-a8f1
a92b-a92d a9b3 aab0 aab2-aab4 aab7-aab8 aabe-aabf aac1 aaf6 abed fb1e fe20-fe2f 101fd 102e0 10376-1037a 10a0d 10a0f
10a38-10a3a 10a3f 10ae5-10ae6 11046 1107f 110b9-110ba 11100-11102 11133-11134 11173 111ca 11236 112e9-112ea 1133c
11366-1136c 11370-11374 114c2-114c3 115bf-115c0 1163f 116b7 1172b 16af0-16af4 16b30-16b36 1bc9e 1d167-1d169
1d17b-1d182 1d185-1d18b 1d1aa-1d1ad 1d242-1d244 1e8d0-1e8d6
`;

/** Nonspacing marks of combining class 0, over which no other is moved. */
export const STARTERS: string = `
34f 7a6-7b0 900-902 93a 941-948 955-957 962-963 981 9c1-9c4 9e2-9e3 a01-a02 a41-a42 a47-a48 a4b-a4c a51 a70-a71 a75
a81-a82 ac1-ac5 ac7-ac8 ae2-ae3 b01 b3f b41-b44 b56 b62-b63 b82 bc0 c00 c3e-c40 c46-c48 c4a-c4c c62-c63 c81 cbf cc6
ccc ce2-ce3 d01 d41-d44 d62-d63 dd2-dd4 dd6 e31 e34-e37 e47 e4c-e4e eb1 eb4-eb7 ebb-ebc ecc-ecd f76-f79 f7e f8d-f97
f99-fbc 102d-1030 1032-1036 103d-103e 1058-1059 105e-1060 1071-1074 1082 1085-1086 109d 1712-1713 1732-1733 1752-1753
1772-1773 17b4-17b5 17b7-17bd 17c6 17c9-17d1 17d3 180b-180d 1920-1922 1927-1928 1932 1a1b 1a56 1a58-1a5e 1a62
1a65-1a6c 1a73-1a74 1b00-1b03 1b36-1b3a 1b3c 1b42 1b80-1b81 1ba2-1ba5 1ba8-1ba9 1bac-1bad 1be8-1be9 1bed 1bef-1bf1
1c2c-1c33 1c36 a802 a80b a825-a826 a926-a92a a947-a951 a980-a982 a9b6-a9b9 a9bc a9e5 aa29-aa2e aa31-aa32 aa35-aa36
aa43 aa4c aa7c aaec-aaed abe5 abe8 fe00-fe0f 10a01-10a03 10a05-10a06 10a0c 10a0e 11001 11038-11045 11080-11081
110b3-110b6 11127-1112b 1112d-11132 11180-11181 111b6-111be 111cb-111cc 1122f-11231 11234 11237 112df 112e3-112e8
11300-11301 11340 114b3-114b8 114ba 114bf-114c0 115b2-115b5 115bc-115bd 115dc-115dd 11633-1163a 1163d 11640 116ab
116ad 116b0-116b5 1171d-1171f 11722-11725 11727-1172a 16f8f-16f92 1bc9d 1da00-1da36 1da3b-1da6c 1da75 1da84
1da9b-1da9f 1daa1-1daaf e0100-e01ef
`;

/** Combining classes of marks that are not dropped. */
export const CLASSES: string = `
8d4=230 8d5=230 8d6=230 8d7=230 8d8=230 8d9=230 8da=230 8db=230 8dc=230 8dd=230 8de=230 8df=230 8e0=230 8e1=230 1b44=9
1baa=9 1bf2=9 1bf3=9 1dfb=230 302e=224 302f=224 a953=9 a9c0=9 111c0=9 11235=9 1134d=9 11442=9 11446=7 116b6=9 11c3f=9
1d165=216 1d166=216 1d16d=226 1d16e=216 1d16f=216 1d170=216 1d171=216 1d172=216 1e000=230 1e001=230 1e002=230
1e003=230 1e004=230 1e005=230 1e006=230 1e008=230 1e009=230 1e00a=230 1e00b=230 1e00c=230 1e00d=230 1e00e=230
1e00f=230 1e010=230 1e011=230 1e012=230 1e013=230 1e014=230 1e015=230 1e016=230 1e017=230 1e018=230 1e01b=230
1e01c=230 1e01d=230 1e01e=230 1e01f=230 1e020=230 1e021=230 1e023=230 1e024=230 1e026=230 1e027=230 1e028=230
1e029=230 1e02a=230 1e944=230 1e945=230 1e946=230 1e947=230 1e948=230 1e949=230 1e94a=7
`;

/** What decomposition and the loss of nonspacing marks leave (Hangul is computed): see `runs` of the maker. */
export const DECOMPOSED: string = `
c0=AAAAAA c7=CEEEEIIII d1=NOOOOO d9=UUUUY e0=aaaaaa e7=ceeeeiiii f1=nooooo f9=uuuuy ff=yAaAaAaCcCcCcCcDd
112=EeEeEeEeEeGgGgGgGgHh 128=IiIiIiIiI 134=JjKk 139=LlLlLl 143=NnNnNn 14c=OoOoOo 154=RrRrRrSsSsSsSsTtTt
168=UuUuUuUuUuUuWwYyYZzZzZz 1a0=Oo 1af=Uu 1cd=AaIiOoUuUuUuUuUu 1de=AaAaÆæ 1e6=GgKkOoOoƷʒj 1f4=Gg
1f8=NnAaÆæØøAaAaEeEeIiIiOoOoRrRrUuUuSsTt 21e=Hh 226=AaEeOoOoOoOoYy 374=ʹ 37e=; 385=¨Α·ΕΗΙ 38c=Ο 38e=ΥΩι 3aa=ΙΥαεηιυ
3ca=ιυουω 3d3=ϒϒ 400=ЕЕ 403=Г 407=І 40c=КИУ 419=И 439=и 450=ее 453=г 457=і 45c=киу 476=Ѵѵ 4c1=Жж 4d0=АаАа 4d6=Ее
4da=ӘәЖжЗз 4e2=ИиИиОо 4ea=ӨөЭэУуУуУуЧч 4f8=Ыы 622=ااواي 6c0=ە 6c2=ہ 6d3=ے 929=न 931=र 934=ळ 958=कखगजडढफय 9dc=ডঢ 9df=য
a33=ਲ a36=ਸ a59=ਖਗਜ a5e=ਫ b48=\u{b47} b5c=ଡଢ cc0=\u{cd5} cc7=\u{cd5}\u{cd6} cca=\u{cc2} dda=\u{dd9} f43=ག f4d=ཌ f52=ད
f57=བ f5c=ཛ f69=ཀ 1026=ဥ 1b3b=\u{1b35} 1b3d=\u{1b35} 1b43=\u{1b35}
1e00=AaBbBbBbCcDdDdDdDdDdEeEeEeEeEeFfGgHhHhHhHhHhIiIiKkKkKkLlLlLlLlMmMmMmNnNnNnNnOoOoOoOoPpPpRrRrRrRrSsSsSsSsSsTtTtTtTtUuUuUuUuUuVvVvWwWwWwWwWwXxXxYyZzZzZzhtwy
1e9b=ſ 1ea0=AaAaAaAaAaAaAaAaAaAaAaAaEeEeEeEeEeEeEeEeIiIiOoOoOoOoOoOoOoOoOoOoOoOoUuUuUuUuUuUuUuYyYyYyYy
1f00=ααααααααΑΑΑΑΑΑΑΑεεεεεε 1f18=ΕΕΕΕΕΕ 1f20=ηηηηηηηηΗΗΗΗΗΗΗΗιιιιιιιιΙΙΙΙΙΙΙΙοοοοοο 1f48=ΟΟΟΟΟΟ 1f50=υυυυυυυυ 1f59=Υ
1f5b=Υ 1f5d=Υ 1f5f=ΥωωωωωωωωΩΩΩΩΩΩΩΩααεεηηιιοουυωω 1f80=ααααααααΑΑΑΑΑΑΑΑηηηηηηηηΗΗΗΗΗΗΗΗωωωωωωωωΩΩΩΩΩΩΩΩααααα
1fb6=ααΑΑΑΑΑ 1fbe=ι 1fc1=¨ηηη 1fc6=ηηΕΕΗΗΗ᾿᾿᾿ιιιι 1fd6=ιιΙΙΙΙ 1fdd=῾῾῾υυυυρρυυΥΥΥΥΡ¨¨\u{60} 1ff2=ωωω 1ff6=ωωΟΟΩΩΩ´
2126=Ω 212a=KA 219a=←→ 21ae=↔ 21cd=⇐⇔⇒ 2204=∃ 2209=∈ 220c=∋ 2224=∣ 2226=∥ 2241=∼ 2244=≃ 2247=≅ 2249=≈ 2260== 2262=≡
226d=≍<>≤≥ 2274=≲≳ 2278=≶≷ 2280=≺≻ 2284=⊂⊃ 2288=⊆⊇ 22ac=⊢⊨⊩⊫ 22e0=≼≽⊑⊒ 22ea=⊲⊳⊴⊵ 2329=〈〉 2adc=⫝ 304c=か 304e=き 3050=く
3052=け 3054=こ 3056=さ 3058=し 305a=す 305c=せ 305e=そ 3060=た 3062=ち 3065=つ 3067=て 3069=と 3070=はは 3073=ひひ 3076=ふふ 3079=へへ
307c=ほほ 3094=う 309e=ゝ 30ac=カ 30ae=キ 30b0=ク 30b2=ケ 30b4=コ 30b6=サ 30b8=シ 30ba=ス 30bc=セ 30be=ソ 30c0=タ 30c2=チ 30c5=ツ
30c7=テ 30c9=ト 30d0=ハハ 30d3=ヒヒ 30d6=フフ 30d9=ヘヘ 30dc=ホホ 30f4=ウ 30f7=ワヰヱヲ 30fe=ヽ
f900=豈更車賈滑串句龜龜契金喇奈懶癩羅蘿螺裸邏樂洛烙珞落酪駱亂卵欄爛蘭鸞嵐濫藍襤拉臘蠟廊朗浪狼郎來冷勞擄櫓爐盧老蘆虜路露魯鷺碌祿綠菉錄鹿論壟弄籠聾牢磊賂雷壘屢樓淚漏累縷陋勒肋凜凌稜綾菱陵讀拏樂諾丹寧怒率異北磻便復不泌數索參塞省葉說殺辰沈拾若掠略亮兩凉梁糧良諒量勵呂女廬旅濾礪閭驪麗黎力曆歷轢年憐戀撚漣煉璉秊練聯輦蓮連鍊列劣咽烈裂說廉念捻殮簾獵令囹寧嶺怜玲瑩羚聆鈴零靈領例禮醴隸惡了僚寮尿料樂燎療蓼遼龍暈阮劉杻柳流溜琉留硫紐類六戮陸倫崙淪輪律慄栗率隆利吏履易李梨泥理痢罹裏裡里離匿溺吝燐璘藺隣鱗麟林淋臨立笠粒狀炙識什茶刺切度拓糖宅洞暴輻行降見廓兀嗀
fa10=塚 fa12=晴 fa15=凞猪益礼神祥福靖精羽 fa20=蘒 fa22=諸 fa25=逸都
fa2a=飯飼館鶴郞隷侮僧免勉勤卑喝嘆器塀墨層屮悔慨憎懲敏既暑梅海渚漢煮爫琢碑社祉祈祐祖祝禍禎穀突節練縉繁署者臭艹艹著褐視謁謹賓贈辶逸難響頻恵𤋮舘
fa70=並况全侀充冀勇勺喝啕喙嗢塚墳奄奔婢嬨廒廙彩徭惘慎愈憎慠懲戴揄搜摒敖晴朗望杖歹殺流滛滋漢瀞煮瞧爵犯猪瑱甆画瘝瘟益盛直睊着磌窱節类絛練缾者荒華蝹襁覆視調諸請謁諾諭謹變贈輸遲醙鉶陼難靖韛響頋頻鬒龜𢡊𢡄𣏕㮝䀘䀹𥉉𥳐𧻓齃龎 fb1d=י
fb1f=ײ fb2a=ששששאאאבגדהוז fb38=טיךכל fb3e=מ fb40=נס fb43=ףפ fb46=צקרשתובכפ 1109a=𑂙 1109c=𑂛 110ab=𑂥 114bb=\u{114b9}
2f800=丽丸乁𠄢你侮侻倂偺備僧像㒞𠘺免兔兤具𠔜㒹內再𠕋冗冤仌冬况𩇟凵刃㓟刻剆割剷㔕勇勉勤勺包匆北卉卑博即卽卿卿卿𠨬灰及叟𠭣叫叱吆咞吸呈周咢哶唐啓啣善善喙喫喳嗂圖嘆圗噑噴切壮城埴堍型堲報墬𡓤売壷夆多夢奢𡚨𡛪姬娛娧姘婦㛮㛼嬈嬾嬾𡧈寃寘寧寳𡬘寿将当尢㞁屠屮峀岍𡷤嵃𡷦嵮嵫嵼巡巢㠯巽帨帽幩㡢𢆃㡼庰庳庶廊𪎒廾𢌱𢌱舁弢弢㣇𣊸𦇚形彫㣣徚忍志忹悁㤺㤜悔𢛔惇慈慌慎慌慺憎憲憤憯懞懲懶成戛扝抱拔捐𢬌挽拼捨掃揤𢯱搢揅掩㨮摩摾撝摷㩬敏敬𣀊旣書晉㬙暑㬈㫤冒冕最暜肭䏙朗望朡杞杓𣏃㭉柺枅桒梅𣑭梎栟椔㮝楂榣槪檨𣚣櫛㰘次𣢧歔㱎歲殟殺殻𣪍𡴋𣫺汎𣲼沿泍汧洖派海流浩浸涅𣴞洴港湮㴳滋滇𣻑淹潮𣽞𣾎濆瀹瀞瀛㶖灊災灷炭𠔥煅𤉣熜𤎫爨爵牐𤘈犀犕𤜵𤠔獺王㺬玥㺸㺸瑇瑜瑱璅瓊㼛甤𤰶甾𤲒異𢆟瘐𤾡𤾸𥁄㿼䀈直𥃳𥃲𥄙𥄳眞真真睊䀹瞋䁆䂖𥐝硎碌磌䃣𥘦祖𥚚𥛅福秫䄯穀穊穏𥥼𥪧𥪧竮䈂𥮫篆築䈧𥲀糒䊠糨糣紀𥾆絣䌁緇縂繅䌴𦈨𦉇䍙𦋙罺𦌾羕翺者𦓚𦔣聠𦖨聰𣍟䏕育脃䐋脾媵𦞧𦞵𣎓𣎜舁舄辞䑫芑芋芝劳花芳芽苦𦬼若茝荣莭茣莽菧著荓菊菌菜𦰶𦵫𦳕䔫蓱蓳蔖𧏊蕤𦼬䕝䕡𦾱𧃒䕫虐虜虧虩蚩蚈蜎蛢蝹蜨蝫螆䗗蟡蠁䗹衠衣𧙧裗裞䘵裺㒻𧢮𧥦䚾䛇誠諭變豕𧲨貫賁贛起𧼯𠠄跋趼跰𠣞軔輸𨗒𨗭邔郱鄑𨜮鄛鈸鋗鋘鉼鏹鐕𨯺開䦕閷𨵷䧦雃嶲霣𩅅𩈚䩮䩶韠𩐊䪲𩒖頋頋頩𩖶飢䬳餩馧駂駾䯎𩬰鬒鱀鳽䳎䳭鵧𪃎䳸𪄅𪈎𪊑麻䵖黹黾鼅鼏鼖鼻𪘀
9cb:\u{9c7}\u{9be} 9cc:\u{9c7}\u{9d7} b4b:\u{b47}\u{b3e} b4c:\u{b47}\u{b57} b94:ஒ\u{bd7} bca:\u{bc6}\u{bbe}
bcb:\u{bc7}\u{bbe} bcc:\u{bc6}\u{bd7} ccb:\u{cc2}\u{cd5} d4a:\u{d46}\u{d3e} d4b:\u{d47}\u{d3e} d4c:\u{d46}\u{d57}
ddc:\u{dd9}\u{dcf} ddd:\u{dd9}\u{dcf} dde:\u{dd9}\u{ddf} 1b06:ᬅ\u{1b35} 1b08:ᬇ\u{1b35} 1b0a:ᬉ\u{1b35} 1b0c:ᬋ\u{1b35}
1b0e:ᬍ\u{1b35} 1b12:ᬑ\u{1b35} 1b40:\u{1b3e}\u{1b35} 1b41:\u{1b3f}\u{1b35} 1134b:\u{11347}\u{1133e}
1134c:\u{11347}\u{11357} 114bc:\u{114b9}\u{114b0} 114be:\u{114b9}\u{114bd} 115ba:\u{115b8}\u{115af}
115bb:\u{115b9}\u{115af} 1d15e:𝅗\u{1d165} 1d15f:𝅘\u{1d165} 1d160:𝅘\u{1d165}\u{1d16e} 1d161:𝅘\u{1d165}\u{1d16f}
1d162:𝅘\u{1d165}\u{1d170} 1d163:𝅘\u{1d165}\u{1d171} 1d164:𝅘\u{1d165}\u{1d172} 1d1bb:𝆹\u{1d165} 1d1bc:𝆺\u{1d165}
1d1bd:𝆹\u{1d165}\u{1d16e} 1d1be:𝆺\u{1d165}\u{1d16e} 1d1bf:𝆹\u{1d165}\u{1d16f} 1d1c0:𝆺\u{1d165}\u{1d16f}
`;

/** Lower case: see `shifts` of the maker. */
export const LOWER: string = `
41-5a+20 c0-d6+20 d8-de+20 100-12e/2+1 132-136/2+1 139-147/2+1 14a-176/2+1 178-79 179-17d/2+1 181+d2 182+1 184+1
186+ce 187+1 189-18a+cd 18b+1 18e+4f 18f+ca 190+cb 191+1 193+cd 194+cf 196+d3 197+d1 198+1 19c+d3 19d+d5 19f+d6
1a0-1a4/2+1 1a6+da 1a7+1 1a9+da 1ac+1 1ae+da 1af+1 1b1-1b2+d9 1b3+1 1b5+1 1b7+db 1b8+1 1bc+1 1c4+2 1c5+1 1c7+2 1c8+1
1ca+2 1cb-1db/2+1 1de-1ee/2+1 1f1+2 1f2+1 1f4+1 1f6-61 1f7-38 1f8-21e/2+1 220-82 222-232/2+1 23a+2a2b 23b+1 23d-a3
23e+2a28 241+1 243-c3 244+45 245+47 246-24e/2+1 370+1 372+1 376+1 37f+74 386+26 388-38a+25 38c+40 38e-38f+3f
391-3a1+20 3a3-3ab+20 3cf+8 3d8-3ee/2+1 3f4-3c 3f7+1 3f9-7 3fa+1 3fd-3ff-82 400-40f+50 410-42f+20 460-480/2+1
48a-4be/2+1 4c0+f 4c1-4cd/2+1 4d0-52e/2+1 531-556+30 10a0-10c5+1c60 10c7+1c60 10cd+1c60 13a0-13ef+97d0 13f0-13f5+8
1c89+1 1c90-1cba-bc0 1cbd-1cbf-bc0 1e00-1e94/2+1 1e9e-1dbf 1ea0-1efe/2+1 1f08-1f0f-8 1f18-1f1d-8 1f28-1f2f-8
1f38-1f3f-8 1f48-1f4d-8 1f59-1f5f/2-8 1f68-1f6f-8 1f88-1f8f-8 1f98-1f9f-8 1fa8-1faf-8 1fb8-1fb9-8 1fba-1fbb-4a 1fbc-9
1fc8-1fcb-56 1fcc-9 1fd8-1fd9-8 1fda-1fdb-64 1fe8-1fe9-8 1fea-1feb-70 1fec-7 1ff8-1ff9-80 1ffa-1ffb-7e 1ffc-9
2126-1d5d 212a-20bf 212b-2046 2132+1c 2160-216f+10 2183+1 24b6-24cf+1a 2c00-2c2f+30 2c60+1 2c62-29f7 2c63-ee6
2c64-29e7 2c67-2c6b/2+1 2c6d-2a1c 2c6e-29fd 2c6f-2a1f 2c70-2a1e 2c72+1 2c75+1 2c7e-2c7f-2a3f 2c80-2ce2/2+1 2ceb+1
2ced+1 2cf2+1 a640-a66c/2+1 a680-a69a/2+1 a722-a72e/2+1 a732-a76e/2+1 a779+1 a77b+1 a77d-8a04 a77e-a786/2+1 a78b+1
a78d-a528 a790+1 a792+1 a796-a7a8/2+1 a7aa-a544 a7ab-a54f a7ac-a54b a7ad-a541 a7ae-a544 a7b0-a512 a7b1-a52a a7b2-a515
a7b3+3a0 a7b4-a7c2/2+1 a7c4-30 a7c5-a543 a7c6-8a38 a7c7+1 a7c9+1 a7cb-a567 a7cc-a7da/2+1 a7dc-a641 a7f5+1 ff21-ff3a+20
10400-10427+28 104b0-104d3+28 10570-1057a+27 1057c-1058a+27 1058c-10592+27 10594-10595+27 10c80-10cb2+40
10d50-10d65+20 118a0-118bf+20 16e40-16e5f+20 16ea0-16eb8+1b 1e900-1e921+22
`;

/** Lower case where llama.cpp's is another: see `runs` of the maker. */
export const LOWERED_OTHERWISE: string = `
1c89=ᲊ a7cb=ɤꟍ a7ce=꟏ a7d2=ꟓ a7d4=ꟕ a7da=ꟛ a7dc=ƛ 10d50=𐵰𐵱𐵲𐵳𐵴𐵵𐵶𐵷𐵸𐵹𐵺𐵻𐵼𐵽𐵾𐵿𐶀𐶁𐶂𐶃𐶄𐶅 16ea0=𖺻𖺼𖺽𖺾𖺿𖻀𖻁𖻂𖻃𖻄𖻅𖻆𖻇𖻈𖻉𖻊𖻋𖻌𖻍𖻎𖻏𖻐𖻑𖻒𖻓
130:i\u{307}
`;

/** Letters that llama.cpp drops or takes as words, and its own marker of a word. */
export const SPLIT_OFF: string = `
61d 890-891 8e2 9fd a76 c77 c84 1b7d-1b7e 2581 2e43-2e4f 2e52-2e5d 10ead 10f55-10f59 10f86-10f89 110cd 1144b-1144f
1145a-1145b 1145d 11660-1166c 116b9 1183b 11944-11946 119e2 11a3f-11a46 11a9a-11a9c 11a9e-11aa2 11b00-11b09
11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff 12ff1-12ff2 13430-1343f 16e97-16e9a 16fe2 1e95e-1e95f
`;

/** Words by themselves that llama.cpp takes as letters. */
export const JOINED: string = `
166d 111c9
`;
